package fakegcs

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is what may befall a request: one of these, or the status to be
// answered instead of the server's answer.
type Fault string

const (
	// None: the request goes through.
	None Fault = ""
	// Lost: the connection ends before the server sees the request.
	Lost Fault = "lost"
	// Unanswered: the server does what is asked, its answer is lost. The
	// retry of a conditional write then meets its own object.
	Unanswered Fault = "unanswered"
	// Truncated: half of the answer arrives.
	Truncated Fault = "truncated"
	// Unavailable is an answer that asks for another try.
	Unavailable Fault = "503"
	// TooMany is another one.
	TooMany Fault = "429"
	// Slow: a request waits for 50 ms.
	Slow Fault = "slow"
)

// Faults are all there are.
var Faults = []Fault{Lost, Unanswered, Truncated, Unavailable, TooMany, Slow}

// Proxy hands requests on to the server. It is safe for concurrent use.
type Proxy struct {
	behind string

	mu     sync.Mutex
	rule   func(op string, r *http.Request) Fault
	within map[string]func(op string, r *http.Request) Fault // by prefix of an object's name
	counts map[string]int
}

// Inject lets rule decide what befalls each request from now on; nil: nothing
// does. Rules are asked one at a time. op is what Counts goes by.
func (p *Proxy) Inject(rule func(op string, r *http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// InjectWithin is Inject for requests that name an object, or a list of them,
// whose name begins with prefix: tests that share a server don't meet each
// other's faults. A later request of an upload in chunks names none.
func (p *Proxy) InjectWithin(prefix string, rule func(op string, r *http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.within == nil {
		p.within = map[string]func(string, *http.Request) Fault{}
	}
	p.within[prefix] = rule
}

// object is the name of the object, or the prefix of names, that a request is
// about.
func object(r *http.Request) string {
	if _, name, ok := strings.Cut(r.URL.Path, "/o/"); ok {
		return name
	}
	if _, name, ok := strings.Cut(r.URL.Path, "/"+Bucket+"/"); ok && r.Method == http.MethodGet {
		return name
	}
	q := r.URL.Query()
	return cmp.Or(q.Get("name"), q.Get("prefix"))
}

// Random lets one in so many requests meet a fault, decided by the seed.
func (p *Proxy) Random(seed uint64, oneIn int, faults ...Fault) {
	p.Inject(Sometimes(seed, oneIn, faults...))
}

// Sometimes is the rule of [Proxy.Random].
func Sometimes(seed uint64, oneIn int, faults ...Fault) func(op string, r *http.Request) Fault {
	random := rand.New(rand.NewPCG(seed, 0))
	return func(string, *http.Request) Fault {
		if random.IntN(oneIn) > 0 {
			return None
		}
		return faults[random.IntN(len(faults))]
	}
}

// Counts says how many requests there were by operation (list, stat, read,
// write, chunk, delete, other), and how many faults, as "fault lost" and so on;
// reset begins anew.
func (p *Proxy) Counts(reset bool) map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := maps.Clone(p.counts)
	if reset {
		clear(p.counts)
	}
	return counts
}

// operation names what a request does.
func operation(r *http.Request) string {
	object := strings.Contains(r.URL.Path, "/o/")
	switch {
	case r.URL.Query().Get("upload_id") != "":
		return "chunk"
	case strings.HasPrefix(r.URL.Path, "/upload/"):
		return "write"
	case r.Method == http.MethodDelete && object:
		return "delete"
	case r.Method == http.MethodGet && r.URL.Query().Get("alt") == "media":
		return "read"
	case r.Method == http.MethodGet && object:
		return "stat"
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/o"):
		return "list"
	}
	return "other"
}

func (p *Proxy) decide(r *http.Request) Fault {
	op := operation(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[op]++
	f := None
	if p.rule != nil {
		f = p.rule(op, r)
	}
	for prefix, rule := range p.within {
		if f == None && rule != nil && strings.HasPrefix(object(r), prefix) {
			f = rule(op, r)
		}
	}
	if f != None {
		p.counts["fault "+string(f)]++
	}
	return f
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := p.decide(r)
	switch fault {
	case Lost:
		panic(http.ErrAbortHandler) // what net/http has for this
	case Slow:
		time.Sleep(50 * time.Millisecond)
	}
	if status, err := strconv.Atoi(string(fault)); err == nil {
		http.Error(w, "as the test wants it", status)
		return
	}
	status, header, body, err := p.forward(r)
	if err != nil || fault == Unanswered {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), header)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	if fault == Truncated {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body) // who asked may be gone
}

// forward asks the server and reads its answer whole.
func (p *Proxy) forward(r *http.Request) (status int, header http.Header, body []byte, err error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	url := p.behind + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		url += "?" + r.URL.RawQuery
	}
	out, err := http.NewRequest(r.Method, url, bytes.NewReader(sent)) // not with r's context: what arrived is done
	if err != nil {
		return 0, nil, nil, err
	}
	out.Header = r.Header.Clone()
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return 0, nil, nil, err
	}
	body, err = io.ReadAll(answer.Body)
	_ = answer.Body.Close() // it was read
	return answer.StatusCode, answer.Header, body, err
}
