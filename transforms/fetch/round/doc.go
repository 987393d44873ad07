// Package round runs one round of fetch in one process: it admits fetch
// shards, keeps their frontier, starts exchanges when politeness allows,
// follows links within the registered domain and writes rolls. It knows no
// Beam; package fetch wraps it into its DoFn.
//
// Goroutines and their owners: a Process owns a dispatcher (decides what
// starts), a writer (the only one that touches rolls), a reporter (status,
// stop file) and one goroutine per exchange in flight. All end in
// [Process.Close], or earlier when the run is stopped.
//
// Where to look, in the order in which a request comes by:
//
//	join, process, shutdown    one Process per round and run, from the first bundle to the last
//	permit, worker             the right to ask at all, and how it is lost
//	take, admit, bundle        a shard becomes this process's; its requests enter the frontier
//	known, met, state          what earlier runs, and a replay's, say of a request
//	dispatch, begin, idle      which item starts when, and what the dispatcher waits for
//	robots, addresses, rest    what an item waits for: robots.txt, its host's address, a host's rest
//	session, login, proxies    what goes along with a request, and the way it takes
//	exchange, redirect         one exchange: what was sent, what came, what follows from it
//	follow, sitemap, sample    what is taken out of an answer: links, entries, a sample of records
//	writer, roll, tablewriter  captures, bodies and links on their way into files
//	report, status             how far it is, and why each key waits
//	memory                     what a process remembers from round to round
package round
