package polite

import "time"

// Backoff draws the wait after a failed attempt, the first being 1, of what is
// no exchange of a key: full jitter, see [Config].
func (s *Scheduler) Backoff(attempt int) time.Duration { return s.backoff(attempt) }
