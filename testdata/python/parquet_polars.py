"""Reads a record's folder with Polars: parquet_polars.py FOLDER RUN"""

import datetime
import sys

import polars as pl

import parquet_rows

folder, run = sys.argv[1:]
table = pl.scan_parquet(folder, hive_partitioning=True)
columns = [c for c in table.collect_schema().names() if c != "run"]
data = table.select(columns).collect()
rows = list(zip(*(data[c].to_list() for c in columns)))


def count(where):
    return table.filter(where).select(pl.len()).collect().item()


parquet_rows.show(
    columns, rows,
    count(pl.col("run") == run),
    count(pl.col("price") < 0),
    count(pl.col("day") < datetime.date(1900, 1, 1)),
    sum(v for v in data["stock"].to_list() if v is not None),
    table.select(pl.col("price").sum()).collect().item(),
)
