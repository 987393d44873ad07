"""What bench/refine compares itself with: DuckDB doing the same from Parquet.

duck.py convert PARTS OUT.parquet    Arrow parts of the rows to one Parquet file
duck.py refine IN.parquet LOOKUP.csv OUT.parquet MEMORY SPILL

refine prints a JSON object: seconds on the clock and of the CPU (user and
system) of reading, checking, dropping duplicates, joining and writing; the
number of rows and the sum of the added column.
"""

import glob
import json
import resource
import sys
import time


def convert(parts, out):
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for path in sorted(glob.glob(parts + "/*.arrow")):
        with pa.memory_map(path) as source:
            reader = pa.ipc.open_file(source)
            for i in range(reader.num_record_batches):
                batch = pa.Table.from_batches([reader.get_batch(i)]).replace_schema_metadata(None)
                if writer is None:
                    writer = pq.ParquetWriter(out, batch.schema, compression="zstd")
                writer.write_table(batch)
    writer.close()


def refine(rows, lookup, out, memory, spill):
    import duckdb

    db = duckdb.connect()
    db.execute(f"SET memory_limit='{memory}MiB'; SET temp_directory='{spill}'; SET preserve_insertion_order=false")

    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    wall, used = time.monotonic(), cpu()
    db.execute(
        f"""
        COPY (
          SELECT r.*, CAST(r.number AS DECIMAL(18,0)) * l.factor AS value
          FROM (
            SELECT * FROM read_parquet('{rows}')
            WHERE stock >= 100 AND number * 2 >= 0 AND length(title) <= 200
            QUALIFY row_number() OVER (PARTITION BY key ORDER BY _fetched_at DESC, _url, _ordinal) = 1
          ) r
          LEFT JOIN read_csv('{lookup}', columns={{'code': 'BIGINT', 'factor': 'DECIMAL(6,2)'}}) l ON r.stock = l.code
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
        """
    )
    wall, used = time.monotonic() - wall, cpu() - used
    count, total = db.execute(f"SELECT count(*), sum(value) FROM read_parquet('{out}')").fetchone()
    print(json.dumps({"wall": wall, "cpu": used, "rows": count, "sum": str(total)}))


if __name__ == "__main__":
    {"convert": convert, "refine": refine}[sys.argv[1]](*sys.argv[2:])
