package polite

import (
	"slices"
	"time"
)

// What adaptive slowing goes by; the reasons are in the package's doc.
const (
	mostFactor    = 16                     // of all
	mostByLatency = 8                      // of the latency's part
	mostByFailure = 4                      // that failures make which are no refusals
	leastPause    = 10 * time.Millisecond  // that a factor is applied to
	mostPause     = time.Minute            // that a factor may make
	warmUp        = 16                     // answers that make the first baseline
	fastStep      = 1 + 1.0/8              // of the median that follows
	slowStep      = 1 + 1.0/256            // of the baseline
	triggerRatio  = 3                      // of these two
	triggerRise   = 250 * time.Millisecond // and how much more it must be
	perSuccess    = 1 - 1.0/32             // what is left of refusals' factor above 1
	failureWeight = 1.0 / 16
	failureLimit  = 0.4
	othersLeast   = 5
	othersFresh   = 30 * time.Second
)

// strain is how a key bears being asked. The zero value bears it well.
type strain struct {
	usual    float32 // median of the first byte, slow to move; ns
	current  float32 // the same, quick to move
	failures float32 // share of the exchanges of late
	refusals float32 // factor above 1 that failures made
	factor   float32 // that applies; below 1 means 1
	raisedAt int64   // when refusals rose last; 0 and refusals 0: never
	answers  uint8   // up to warmUp
	recent   bool    // is in Scheduler.recent
}

func (t *strain) slots(concurrency int) int {
	if t.factor <= 1 {
		return concurrency
	}
	n := int(float32(concurrency) / t.factor)
	if float32(n)*t.factor < float32(concurrency) {
		n++
	}
	return min(max(n, 1), concurrency)
}

func (t *strain) pause(l Limits) time.Duration {
	if t.factor <= 1 {
		return l.Delay
	}
	own := max(l.Delay, time.Duration(t.usual)/time.Duration(l.Concurrency), leastPause)
	return max(l.Delay, min(time.Duration(t.factor*float32(own)), mostPause))
}

// adapt learns from an exchange that ended at now.
func (s *Scheduler) adapt(k *Key, now int64, o Observation) {
	t := &k.strain
	if o.Failed {
		t.failures += (1 - t.failures) * failureWeight
		t.refuse(now-int64(o.Latency), now, o.Refused)
	} else {
		t.failures -= t.failures * failureWeight
		if t.refusals *= perSuccess; t.refusals < 0.05 {
			t.refusals = 0
		}
		if o.FirstByte > 0 {
			t.answered(float32(o.FirstByte))
			s.recent.add(k)
		}
	}
	t.factor = min(max(1+t.refusals, s.byLatency(k, now)), mostFactor)
}

// refuse raises the factor for a failure of an exchange that began at begun.
func (t *strain) refuse(begun, now int64, refused bool) {
	if t.refusals > 0 && begun < t.raisedAt {
		return
	}
	switch {
	case refused:
		t.refusals = 1 + 2*t.refusals // f doubles
	case t.failures > failureLimit:
		t.refusals = max(t.refusals, min(0.5+1.5*t.refusals, mostByFailure-1))
	default:
		return
	}
	t.refusals, t.raisedAt = min(t.refusals, mostFactor-1), now
}

// answered moves the medians by the time an answer took: each sample moves a
// median one step towards itself, however far off it is.
func (t *strain) answered(took float32) {
	if t.answers == 0 {
		t.current = took
	}
	t.current = stepTowards(t.current, took, fastStep)
	if t.answers < warmUp {
		t.answers++
		t.usual = t.current
		return
	}
	t.usual = stepTowards(t.usual, took, slowStep)
}

func stepTowards(median, sample, step float32) float32 {
	if sample > median {
		return min(median*step, sample)
	}
	return max(median/step, sample)
}

func (t *strain) ratio() float32 { return t.current / t.usual }

// byLatency is the factor that the key's latency asks for; at most 1: none.
func (s *Scheduler) byLatency(k *Key, now int64) float32 {
	t := &k.strain
	rise := t.usual + float32(triggerRise)
	if t.answers < warmUp || t.current <= triggerRatio*t.usual || t.current <= rise {
		return 1
	}
	common := s.recent.common(k, now)
	if t.current <= common*triggerRatio*t.usual || t.current <= common*rise {
		return 1
	}
	return min(t.ratio()/common*2/3, mostByLatency)
}

// recent holds the last keys that answered, each once.
type recent struct {
	keys [16]*Key
	next int
}

func (r *recent) add(k *Key) {
	if k.strain.recent {
		return
	}
	if old := r.keys[r.next]; old != nil {
		old.strain.recent = false
	}
	r.keys[r.next], k.strain.recent = k, true
	r.next = (r.next + 1) % len(r.keys)
}

// common is how much slower than usual other keys are than k, in the median; 1
// where too few are known to say.
func (r *recent) common(k *Key, now int64) float32 {
	var room [len(r.keys)]float32
	ratios := room[:0]
	for _, other := range r.keys {
		if other == nil || other == k || other.strain.answers < warmUp || now-other.last > int64(othersFresh) {
			continue
		}
		ratios = append(ratios, other.strain.ratio())
	}
	if len(ratios) < othersLeast {
		return 1
	}
	slices.Sort(ratios)
	return max(1, ratios[len(ratios)/2])
}
