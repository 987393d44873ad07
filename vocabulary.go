package harrow

import (
	"encoding/hex"
	"fmt"
	"time"
)

// ID is the 128-bit digest that identifies a request. Every join between
// tables is by it. Its text form is 32 lower-case hexadecimal digits, which is
// also how tables and sinks hold it.
type ID [16]byte

// String returns the 32 hexadecimal digits of the id.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return fmt.Errorf("request id %.40q: want %d hexadecimal digits", text, 2*len(id))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("request id %.40q: %w", text, err)
	}
	return nil
}

// IsZero reports whether the id is unset: no request has the zero id.
func (id ID) IsZero() bool { return id == ID{} }

// Header is one HTTP header field, name and value as they came.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Part names one immutable Arrow IPC file of one table. It is what flows
// through Beam: a few hundred bytes that stand for up to 128 MiB of rows.
type Part struct {
	Table string `json:"table"`         // "captures", "records/book", …
	URI   string `json:"uri"`           // relative to the workspace, with slashes
	Rows  int64  `json:"rows"`          // rows in the file
	Bytes int64  `json:"bytes"`         // size of the file
	Raw   int64  `json:"raw"`           // size of the rows before compression
	Shard int    `json:"shard"`         // of the shuffle or fetch that wrote it; 0 where there was none
	Tag   string `json:"tag,omitempty"` // what the writer wants its reader to know, for example the bodies part of a captures part
}

// Class says what to do about something that went wrong.
type Class string

const (
	// Transient failures may pass by themselves: try again later.
	Transient Class = "transient"
	// Permanent failures stay until the source or the job changes.
	Permanent Class = "permanent"
	// DataFault marks input that cannot be understood: keep it, mend the rule.
	DataFault Class = "data"
	// System faults are our own: disk, database, workspace.
	System Class = "system"
)

// Outcome is how a request ended; the set is closed.
type Outcome string

const (
	Fetched     Outcome = "fetched"      // 2xx
	NotModified Outcome = "not_modified" // 304 that was asked for
	Redirected  Outcome = "redirected"   // 3xx that leaves the registered domain or the scope
	Gone        Outcome = "gone"         // 404, 410
	Denied      Outcome = "denied"       // robots.txt disallows
	Deferred    Outcome = "deferred"     // not asked for now; asked first in the next run
	Failed      Outcome = "failed"       // anything else
)

// CodeBundleTime is the code of a capture of outcome deferred whose bundle of
// fetch came to its end (fetch.max_bundle_time).
const CodeBundleTime = "bundle_time"

// Kinds of requests and exchanges.
const (
	KindPage    = "page"
	KindSitemap = "sitemap"
	KindRobots  = "robots"
	KindLogin   = "login"
)

// SitemapPriority is the priority of requests of kind sitemap: they go before
// the pages of their host, since what they list may take the longest.
const SitemapPriority = 1 << 10

// Request is one thing to ask for. ID is the digest of Method, URL, the
// body's digest and the headers that vary the answer. Whatever its method, it
// is a question: it is asked again after a transient failure, up to
// fetch.retry.attempts.
type Request struct {
	ID       ID
	URL      string // canonical
	Method   string
	Headers  []Header
	Body     []byte
	Key      string // politeness key: what limits apply to
	Domain   string // registered domain (eTLD+1, or the host where there is none): what shards apply to
	Depth    int32  // links from a seed
	Priority int32  // higher first within a key
	Kind     string // KindPage or KindSitemap
	Parent   ID     // of the page that linked here; zero for a seed
	Carry    string // JSON object of columns handed on to the records; empty for none; of requests alike in a run the first admitted one's
	Reason   string // in the deferred table: why it was not asked for; else empty

	// NotBefore is until when the politeness key asked for rest (Retry-After):
	// nothing of the key is asked before. Zero: it did not.
	NotBefore time.Time `json:",omitzero"`
}

// Capture is one row per request: its final outcome and where its body lies.
type Capture struct {
	ID          ID
	URL         string
	FinalURL    string
	Method      string
	Kind        string
	Key         string
	Depth       int32
	Parent      ID
	Carry       string
	Status      int32 // HTTP status of the last answer; 0 when there was none
	Outcome     Outcome
	Class       Class
	Code        string // the reason in one word: "timeout", "robots", "rounds", …
	ContentType string
	Headers     []Header
	Digest      string // SHA-256 of the body in hexadecimal; empty without a body
	BodyBytes   int64
	Truncated   bool
	Attempts    int32
	StartedAt   time.Time
	ElapsedMS   int64
	RemoteAddr  string
	BodyPart    string // URI of the bodies part; empty without a body
	BodyRow     int64  // first row in that part
	BodyRows    int64  // rows of ≤ 4 MiB each
}

// Readmitted reports whether the capture is not its run's last word on the
// request: the bundle came to its end, and the next round admits the request
// again. What is asked about a run passes over such captures.
func (c Capture) Readmitted() bool { return c.Outcome == Deferred && c.Code == CodeBundleTime }

// PageState is one row of the table pages, the job's memory across runs: what
// is known of a request. What an answer said stays until a newer one (outcome
// fetched or not_modified) takes its place; other outcomes leave it alone.
type PageState struct {
	ID           ID
	URL          string
	FinalURL     string // URL that answered: validators are its, and only good there
	ETag         string // validators of the last answer, as they came; empty: none, or none to be asked with
	LastModified string
	ContentType  string
	Headers      []Header // of the last answer, updated by every 304 since (RFC 9111, 3.2)
	Digest       string   // of the body; empty without one
	BodyBytes    int64
	Truncated    bool
	BodyPart     string // where the body lies: in the run that got it
	BodyRow      int64
	BodyRows     int64
	Variant      string    // digest of what the job sent along with every request when it got the body
	FirstSeen    time.Time // first and last answer of outcome fetched or not_modified
	LastSeen     time.Time
	Outcome      Outcome // of the last run that admitted the request
	Run          string  // that run
	Absences     int32   // complete runs in a row, up to now, that didn't admit it
}

// Body is one row of the bodies table: a chunk of a payload as received after
// content-decoding.
type Body struct {
	Digest string
	Chunk  int32
	Body   []byte // ≤ 4 MiB
}

// Exchange is one HTTP request sent: retries, hops, robots.txt and logins too.
type Exchange struct {
	ID         ID // of the request it was sent for
	Kind       string
	Key        string
	URL        string
	Hop        int32
	Attempt    int32
	Proxy      string
	StartedAt  time.Time
	EndedAt    time.Time
	Status     int32
	RetryAfter string
	Error      string
}

// Link is one thing a page, redirect or sitemap points to, in scope and within
// the caps.
type Link struct {
	ID         ID // of the request it becomes
	FromID     ID // of the request it was found by; zero where a robots.txt named it
	URL        string
	Method     string
	Headers    []Header
	Body       []byte
	Text       string
	Rel        string // "link", "redirect" or "sitemap"
	Kind       string // of the request it becomes; empty: KindPage
	Depth      int32  // of the request it becomes
	Carry      string
	SameDomain bool // followed in the round that found it; else in the next one
}

// Reject is a dead letter: what could not be processed, why, and enough of it
// to replay it.
type Reject struct {
	ID       ID // zero where there is no request
	Stage    string
	Class    Class
	Code     string
	Reason   string
	URL      string
	Record   string
	Field    string
	Value    string
	Attempts int32
	At       time.Time
	Payload  string // JSON: the row, line or request that was rejected
}
