// Package cluster holds the tests that run the command on runners whose workers
// are other processes: on a real Flink cluster above all, in one machine's
// network and spread over three.
//
// The package has nothing but tests. They go by the environment that package
// soak tells of. Where Java, Flink, PostgreSQL or network namespaces can't be
// had, tests are skipped; with HARROW_TEST_REQUIRE=1 they fail.
package cluster
