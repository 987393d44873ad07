"""Reads a record's folder with Spark: parquet_spark.py FOLDER RUN"""

import sys

from pyspark.sql import SparkSession

import parquet_rows

folder, run = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.session.timeZone", "UTC")
    # Dates before 1582 are of the one calendar that everybody else has.
    .config("spark.sql.parquet.datetimeRebaseModeInRead", "CORRECTED")
    .getOrCreate()
)
table = spark.read.parquet(folder)
columns = [c for c in table.columns if c != "run"]
select, instants = [], set()
for i, name in enumerate(columns):
    kind = table.schema[name].dataType.simpleString()
    if kind == "timestamp":
        select.append(f"unix_micros(`{name}`)")
    elif kind == "array<timestamp>":
        select.append(f"transform(`{name}`, x -> unix_micros(x))")
    else:
        select.append(f"`{name}`")
        continue
    instants.add(i)
rows = [[parquet_rows.instant(v) if i in instants else v for i, v in enumerate(row)] for row in table.selectExpr(*select).collect()]
table.createOrReplaceTempView("book")
run, cheap, old, stock, price = spark.sql(f"""
    SELECT (SELECT count(*) FROM book WHERE run = '{run}'),
           (SELECT count(*) FROM book WHERE price < 0),
           (SELECT count(*) FROM book WHERE day < DATE '1900-01-01'),
           (SELECT sum(CAST(stock AS DECIMAL(38, 0))) FROM book),
           (SELECT sum(price) FROM book)""").collect()[0]
parquet_rows.show(columns, rows, run, cheap, old, stock, price)
spark.stop()
