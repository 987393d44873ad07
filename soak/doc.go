// Package soak holds the tests that let Harrow work for a while with real
// parts and hurt it: the command as a process of its own, killed and resumed
// while a server on loopback keeps a log of what it was asked; a PostgreSQL
// server that is killed, cut off, hung and full; real pages behind nginx, held against lxml; the tables as pyarrow and Polars read them;
// and data files far larger than memory.
//
// The package has nothing but tests; its folder stable says what "the same
// tables" means. The environment they go by:
//
//	HARROW_SOAK=1           the long form: 60 harvests that are killed instead of 6, data files of 5 GB instead of 200 MB
//	HARROW_SEED=N           seed of everything random; default 1, always printed
//	HARROW_SOAK_TABLE=FILE  with HARROW_SOAK=1: each test appends its result, a row of a Markdown table
//	HARROW_TEST_REQUIRE=1   fail, not skip, where nginx, the pages or Python are missing
//	HARROW_PYTHON=FILE      Python with lxml, pyarrow and Polars; default .build/venv/bin/python
//
// A single case is run again by its name, which the seed and its number decide
// alone: HARROW_SEED=7 HARROW_SOAK=1 go test ./soak -run 'TestSIGKILL.*/case-12'.
package soak
