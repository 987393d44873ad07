// Package workers holds the tests of worker processes and of the pool that
// starts them: the real command beside a pool of its own, on Beam's reference
// runner, in another folder, with another home and environment, and killed in
// each of the ways there are. It has nothing but tests; package soak says what
// environment they go by.
package workers
