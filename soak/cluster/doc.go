// Package cluster holds the tests that run the command on runners whose workers
// are other processes: on a real Flink cluster above all, in one machine's
// network and with Beam's runner in it, or spread over three and without; with
// processes of it killed, frozen and started again while it works.
//
// The package has nothing but tests. They go by the environment that package
// soak tells of: without HARROW_SOAK=1 there is one of each kind of failure, on
// one network; with it there are five, the network namespaces, and the demo on
// every runner. Where Java, Flink, PostgreSQL or network namespaces can't be had, tests
// are skipped; with HARROW_TEST_REQUIRE=1 they fail.
package cluster
