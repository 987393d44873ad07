// Package permits hurts the worker processes of a round of fetch that share its
// shards: a process is killed, or stopped where it is and woken up long after,
// while others want its shards. By the server's log no politeness limit may be
// broken, and every request ends as one capture.
package permits
