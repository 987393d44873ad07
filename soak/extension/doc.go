// Package extension tests that Harrow is extended from outside: it builds the
// module in testdata/extension as its author would, and runs its job on both
// runners in this process. The package has nothing but tests.
package extension
