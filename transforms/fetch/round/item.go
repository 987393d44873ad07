package round

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

// item is a request on its way: what the frontier holds. A redirect's hop or
// a retry goes back into the frontier as the same item.
type item struct {
	Req     harrow.Request `json:"r"`
	URL     string         `json:"u,omitempty"` // of the hop; empty: Req.URL
	Hop     int32          `json:"h,omitempty"`
	Attempt int32          `json:"a,omitempty"` // exchanges tried for this hop
	Started time.Time      `json:"s,omitzero"`  // of the first exchange
	Robots  string         `json:"o,omitempty"` // origin whose robots.txt this asks for; else a page
	Got     bool           `json:"g,omitempty"` // a redirect made the hop a GET without body
	Bare    bool           `json:"b,omitempty"` // a redirect led to another origin: credentials stay behind
	Waited  bool           `json:"w,omitempty"` // a hop that lies in the queue of the key that redirected, until that has rested
	Full    bool           `json:"f,omitempty"` // asked without validators: a 304 confirmed something else
	Again   bool           `json:"i,omitempty"` // its session was over
	Via     int            `json:"v,omitempty"` // exchanges of this hop that failed at their proxy
	Shard   int            `json:"n,omitempty"` // fetch shard that it belongs to: with politeness key ip several share a key
	Key     string         `json:"k,omitempty"` // politeness key of the request, where that is not Req.Key: its address

	shard  *shard            // filled in when it is taken out
	at     canon.URL         // parsed URL
	key    *key              // politeness key of at
	addr   netip.Addr        // to connect to; invalid: whatever the host's name gives
	shares bool              // its key may have others in flight beside it
	known  *harrow.PageState // what it is asked conditionally by; nil: in full

	login   *entering // the request of a login that this is; nil: none
	session int64     // which it is asked in; 0: none
	probe   bool      // it is the first that is asked in its session
}

// inProgress is the priority of what was begun: retries and hops go before
// what was not tried yet.
const inProgress = math.MaxInt32

func (it *item) url() string {
	if it.URL != "" {
		return it.URL
	}
	return it.Req.URL
}

func (it *item) priority() int32 {
	if it.Attempt > 0 || it.Hop > 0 || it.Again {
		return inProgress
	}
	return it.Req.Priority
}

func (it *item) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it would make an item up to six times as long
	if err := e.Encode(it); err != nil {
		return nil, fmt.Errorf("frontier: %s: %w", it.url(), err)
	}
	return b.Bytes(), nil
}

func decodeItem(data []byte) (*item, error) {
	var it item
	if err := json.Unmarshal(data, &it); err != nil {
		return nil, fmt.Errorf("frontier: %w", err)
	}
	return &it, nil
}

// capture begins the captures row of the item's request.
func (it *item) capture(now time.Time) harrow.Capture {
	r := it.Req
	c := harrow.Capture{ID: r.ID, URL: r.URL, FinalURL: it.url(), Method: r.Method, Kind: r.Kind, Key: cmp.Or(it.Key, r.Key),
		Depth: r.Depth, Parent: r.Parent, Carry: r.Carry, Attempts: it.Attempt, StartedAt: it.Started}
	if c.StartedAt.IsZero() {
		c.StartedAt = now
	}
	c.ElapsedMS = now.Sub(c.StartedAt).Milliseconds()
	return c
}

// robotsURL is where the robots.txt of a URL's origin lies.
func origin(u canon.URL) string { return u.Scheme() + "://" + u.Authority() }
