"""Reads every table of a run, and the pages it left, as anybody could: from manifests, with
pyarrow and with Polars.

tables.py RUN_FOLDER WORKSPACE prints, by "STAGE TABLE", what each of the two
libraries makes of it: rows, and for each column its kind, its nulls and a sum:
of numbers and decimals the sum, of booleans the number of true ones, of texts
and bytes the length in bytes, of times the sum of microseconds or days since
1970, of lists the number of elements.
"""
import json
import os
import sys
from decimal import Decimal, getcontext

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

getcontext().prec = 60


def plain(number):
    """A decimal without exponent and without zeros at its end."""
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def kind(t):
    if pa.types.is_boolean(t):
        return "bool"
    if pa.types.is_integer(t):
        return "int"
    if pa.types.is_floating(t):
        return "float"
    if pa.types.is_decimal(t):
        return "decimal"
    if pa.types.is_string(t) or pa.types.is_large_string(t):
        return "text"
    if pa.types.is_binary(t) or pa.types.is_large_binary(t):
        return "bytes"
    if pa.types.is_timestamp(t):
        assert t.unit == "us" and t.tz == "UTC", t
        return "timestamp"
    if pa.types.is_date32(t):
        return "date"
    if pa.types.is_list(t):
        return "list"
    raise SystemExit(f"a column of type {t}")


def arrow_sum(what, column):
    if what == "decimal":
        return plain(sum((v.as_py() for v in column if v.is_valid), Decimal(0)))
    if what in ("text", "bytes"):
        return pc.sum(pc.binary_length(column)).as_py() or 0
    if what == "list":
        return pc.sum(pc.list_value_length(column)).as_py() or 0
    if what == "timestamp":
        column = column.cast(pa.int64())
    if what == "date":
        column = column.cast(pa.int32())
    total = pc.sum(column).as_py() or 0
    return plain(Decimal(str(total))) if what == "float" else total


def polars_sum(what, column):
    if what == "decimal":
        return plain(sum((v for v in column if v is not None), Decimal(0)))
    if what == "text":
        column = column.str.len_bytes()
    if what == "bytes":
        column = column.bin.size()
    if what == "list":
        column = column.list.len()
    if what in ("timestamp", "date"):
        column = column.to_physical()
    if what in ("bool", "int", "timestamp", "date", "text", "bytes", "list") and column.dtype != pl.Boolean:
        column = column.cast(pl.Int64)
    return int(column.sum() or 0) if what != "float" else plain(Decimal(str(column.sum() or 0)))


def summary(schema, rows, column, sums):
    columns = {}
    for field in schema:
        what = kind(field.type)
        data = column(field.name)
        columns[field.name] = {"kind": what, "nulls": data.null_count if isinstance(data, pa.ChunkedArray) else data.null_count(),
                               "sum": str(sums(what, data))}
    return {"rows": rows, "columns": columns}


def with_pyarrow(files):
    tables = []
    for file in files:
        with pa.memory_map(file) as source, ipc.open_file(source) as reader:
            tables.append(reader.read_all())
    table = pa.concat_tables(tables)
    table.validate(full=True)
    return table.schema, summary(table.schema, table.num_rows, table.column, arrow_sum)


def with_polars(schema, files):
    frame = pl.concat([pl.read_ipc(file) for file in files])
    return summary(schema, frame.height, frame.get_column, polars_sum)


def main(run, workspace):
    result = {}
    folders = {stage: os.path.join(run, stage) for stage in sorted(os.listdir(run))}
    folders["pages"] = os.path.join(run, "..", "..", "pages", os.path.basename(run))
    for stage, folder in folders.items():
        listing = os.path.join(folder, "manifest.arrow")
        if not os.path.exists(listing):
            continue
        with pa.memory_map(listing) as source, ipc.open_file(source) as reader:
            parts = reader.read_all().to_pylist()
        assert pl.read_ipc(listing).height == len(parts), listing
        files = {}
        for part in parts:
            if part["uri"]:  # the last row holds the counters
                files.setdefault(part["table"], []).append(part)
        for table, listed in files.items():
            paths = [os.path.join(workspace, p["uri"]) for p in listed]
            schema, arrow = with_pyarrow(paths)
            result[f"{stage} {table}"] = {"pyarrow": arrow, "polars": with_polars(schema, paths), "parts": len(listed),
                                          "listed": sum(p["rows"] for p in listed), "name": schema.metadata[b"harrow.table"].decode()}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
