// Package cluster holds the tests that run the command on runners whose workers
// are other processes: on a real Flink cluster above all, in one machine's
// network and spread over three, with processes of it killed, frozen and
// started again while it works.
//
// The package has nothing but tests. They go by the environment that package
// soak tells of; HARROW_SOAK=1 does five of each kind of failure instead of
// one. Where Java, Flink, PostgreSQL or network namespaces can't be had, tests
// are skipped; with HARROW_TEST_REQUIRE=1 they fail.
package cluster
