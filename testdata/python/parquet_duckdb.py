"""Reads a record's folder with DuckDB: parquet_duckdb.py FOLDER RUN"""

import sys

import duckdb

import parquet_rows

folder, run = sys.argv[1:]
duckdb.sql(f"CREATE VIEW book AS SELECT * FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)")


def one(query):
    return duckdb.sql(query).fetchall()[0][0]


columns, select, instants = [], [], set()
for i, (name, kind) in enumerate(duckdb.sql("SELECT column_name, column_type FROM (DESCRIBE SELECT * EXCLUDE (run) FROM book)").fetchall()):
    columns.append(name)
    if kind == "TIMESTAMP WITH TIME ZONE":
        select.append(f'epoch_us("{name}")')
    elif kind == "TIMESTAMP WITH TIME ZONE[]":
        select.append(f'list_transform("{name}", lambda x: epoch_us(x))')
    else:
        select.append(f'"{name}"')
        continue
    instants.add(i)
rows = [[parquet_rows.instant(v) if i in instants else v for i, v in enumerate(row)]
        for row in duckdb.sql(f"SELECT {', '.join(select)} FROM book").fetchall()]
parquet_rows.show(
    columns, rows,
    one(f"SELECT count(*) FROM book WHERE run = '{run}'"),
    one("SELECT count(*) FROM book WHERE price < 0"),
    one("SELECT count(*) FROM book WHERE day < DATE '1900-01-01'"),
    one("SELECT sum(stock::HUGEINT) FROM book"),
    one("SELECT sum(price) FROM book"),
)
