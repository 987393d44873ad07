"""What the four readers of Parquet share: rows as text, whoever read them.

A reader prints {"rows": [...], "run": n, "cheap": n, "old": n, "stock": n,
"price": "sum"}: every row in a form that says each value exactly, and what
the engine itself filters and sums, which goes by the files' statistics.
"""

import datetime
import decimal
import json
import math


def text(v):
    """One value: dates and timestamps in ISO form, decimals plain, floats exact."""
    if v is None or isinstance(v, (bool, int, str)):
        return v
    if isinstance(v, float):
        return "NaN" if math.isnan(v) else v.hex()
    if isinstance(v, decimal.Decimal):
        s = format(v, "f")
        if "." in s:
            s = s.rstrip("0").rstrip(".")
        return "0" if s in ("-0", "") else s
    if isinstance(v, datetime.datetime):
        if v.tzinfo is not None:
            v = v.astimezone(datetime.timezone.utc)
        return v.strftime("%Y").zfill(4) + v.strftime("-%m-%dT%H:%M:%S.%fZ")
    if isinstance(v, datetime.date):
        return v.isoformat()
    if isinstance(v, (list, tuple)):
        return [text(x) for x in v]
    raise TypeError(f"{type(v)}: {v!r}")


def instant(micros):
    """A timestamp that the engine handed over as µs since 1970: not every driver makes a datetime of year 1."""
    if isinstance(micros, list):
        return [instant(m) for m in micros]
    if micros is None:
        return None
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=micros)


def show(columns, rows, run, cheap, old, stock, price):
    out = [json.dumps([text(v) for v in row], ensure_ascii=False) for row in rows]
    print(json.dumps({
        "columns": columns, "rows": sorted(out), "run": run, "cheap": cheap, "old": old, "stock": int(stock), "price": text(price),
    }))
