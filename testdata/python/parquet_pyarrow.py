"""Reads a record's folder with pyarrow: parquet_pyarrow.py FOLDER RUN"""

import datetime
import decimal
import sys

import pyarrow.compute as pc
import pyarrow.parquet as pq

import parquet_rows

folder, run = sys.argv[1:]
table = pq.read_table(folder)
columns = [c for c in table.column_names if c != "run"]
rows = list(zip(*(table[c].to_pylist() for c in columns)))


def count(*filters):
    return pq.read_table(folder, columns=["stock"], filters=list(filters)).num_rows


parquet_rows.show(
    columns, rows,
    count(("run", "=", run)),
    count(("price", "<", decimal.Decimal(0))),
    count(("day", "<", datetime.date(1900, 1, 1))),
    sum(v for v in table["stock"].to_pylist() if v is not None),
    pc.sum(table["price"]).as_py(),
)
