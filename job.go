package harrow

import "encoding/json"

// Job is a job file, version 1, as plain Go types. Its JSON has the same keys
// and travels to the workers; secrets (${NAME}, ${file:/path}) stay
// unresolved text in it. The zero value of a field is its documented default,
// filled in by [Job.SetDefaults]. A pointer distinguishes "not said" (nil)
// from a zero that means something.
type Job struct {
	Version  int                        `json:"version"`          // 1
	Name     string                     `json:"job"`              // [a-z][a-z0-9-]{0,62}
	Limits   Limits                     `json:"limits,omitzero"`  // of one process, and numbers of shards
	Discover Discover                   `json:"discover"`         // where to begin and how far to go
	Fetch    Fetch                      `json:"fetch,omitzero"`   // how to ask
	Parse    []Rule                     `json:"parse"`            // what to get out of which pages; every rule that matches is applied
	Refine   map[string]Refine          `json:"refine,omitempty"` // by record name; absent: loaded as it is, keyed by (_id, _ordinal)
	Load     map[string]json.RawMessage `json:"load,omitempty"`   // config by sink name; default: sqlite: {}
}

// Limits bounds what one process uses and names the numbers of shards.
type Limits struct {
	Memory      ByteSize `json:"memory,omitzero"`       // of one process, at least 64MiB; default 1GiB
	Spill       string   `json:"spill,omitzero"`        // local folder for what a process reads back itself; default /tmp
	FetchShards Auto     `json:"fetch_shards,omitzero"` // units of ownership of domains, 1 to 65536; auto: 1 in one process, 4 × parallelism on a cluster
	Shards      Auto     `json:"shards,omitzero"`       // of every other shuffle, 1 to 65536; auto: 16 in one process, 4 × parallelism on a cluster
	Document    ByteSize `json:"document,omitzero"`     // largest body that is parsed as a whole; default 10MiB
}

// Discover says where a run begins and which links it goes after.
type Discover struct {
	Seeds     Seeds     `json:"seeds"`              // at least one of its keys
	Scope     Scope     `json:"scope,omitzero"`     // seeds are always in scope
	Follow    []Follow  `json:"follow,omitempty"`   // default: no link is followed
	Rounds    int       `json:"rounds,omitzero"`    // fetch rounds, 1 to 100: the seeds' domains, then hops between registered domains; default 3
	Canonical Canonical `json:"canonical,omitzero"` // what the canonical form of a URL leaves out
}

// Seeds are the first requests.
type Seeds struct {
	URLs     []string `json:"urls,omitempty"`    // written in the job file
	Files    []string `json:"files,omitempty"`   // globs relative to the job file; .txt: one URL a line; .csv and .jsonl: columns url, method, headers, body, any other is carried
	Sitemaps Sitemaps `json:"sitemaps,omitzero"` // default: none
}

// Scope bounds which URLs become requests.
type Scope struct {
	Hosts    []string `json:"hosts,omitempty"`    // "books.example", "*.books.example"; default: the seeds' hosts
	Include  []string `json:"include,omitempty"`  // path globs, "re:" RE2 on the whole URL, or a pattern with // on scheme://host/path; default: all
	Exclude  []string `json:"exclude,omitempty"`  // as Include; wins over it
	MaxDepth *int     `json:"max_depth,omitzero"` // links from a seed, at least 0 (only seeds); default 16
	MaxPages int64    `json:"max_pages,omitzero"` // requests per politeness key; default 0: no limit
}

// Follow is one way to find links: one selector, which selects URLs.
type Follow struct {
	Within   []string `json:"within,omitempty"`  // globs of the pages to look in, as a rule's match; default: all
	CSS      string   `json:"css,omitzero"`      // for example "a@href"; of an element without "@attribute" its href, else its text
	XPath    string   `json:"xpath,omitzero"`    // of an element its href, else its text
	JSONPath string   `json:"jsonpath,omitzero"` //
	Regex    string   `json:"regex,omitzero"`    // RE2; alone it selects in the body's text
	Carry    Fields   `json:"carry,omitempty"`   // columns handed on to the linked page's records
}

// Canonical says what the canonical form of a URL leaves out.
type Canonical struct {
	Strip     []string `json:"strip,omitzero"`      // query parameters, `*` is any run of characters; default utm_*, gclid; empty: none
	SortQuery bool     `json:"sort_query,omitzero"` // default false
}

// DefaultStrip is the default of [Canonical].Strip.
var DefaultStrip = []string{"utm_*", "gclid"}

// Fetch says how requests are sent.
type Fetch struct {
	UserAgent            string            `json:"user_agent,omitzero"`             // default harrow/VERSION (+the project's URL)
	Timeout              Duration          `json:"timeout,omitzero"`                // of the whole exchange: DNS, connect, TLS, headers, body; over 0; default 30s
	MaxBody              ByteSize          `json:"max_body,omitzero"`               // decompressed too; over 0; default 10MiB
	MaxRedirects         *int              `json:"max_redirects,omitzero"`          // 0 to 100; default 10
	MaxTime              Duration          `json:"max_time,omitzero"`               // of the stage, what is left is deferred; default 0s: no limit
	MaxBundleTime        Duration          `json:"max_bundle_time,omitzero"`        // of a bundle of fetch on a process, what is left is asked in the next round: for runners that bear no long bundles, as Dataflow; default 0s: no limit
	InFlight             int               `json:"in_flight,omitzero"`              // exchanges at once in a worker process, 1 to 65536; default 256
	Retry                Retry             `json:"retry,omitzero"`                  //
	Breaker              Breaker           `json:"breaker,omitzero"`                //
	Roll                 Roll              `json:"roll,omitzero"`                   //
	Headers              map[string]string `json:"headers,omitempty"`               // sent with every request, those whose value holds a secret to hosts in scope.hosts only, and over https, or http where the job file names the host so
	HostHeaders          HostHeaders       `json:"host_headers,omitempty"`          // more of them by host pattern (with http:// or https:// before it: of that scheme), the longest that matches wins over Headers
	Cookies              *bool             `json:"cookies,omitzero"`                // those that servers set are sent back to them, while the run lasts; default true
	Proxies              []string          `json:"proxies,omitempty"`               // http(s):// or socks5://; may hold secrets; default: none
	Resolve              map[string]string `json:"resolve,omitempty"`               // host pattern to IP or IP:PORT, for tests
	AllowPrivateNetworks bool              `json:"allow_private_networks,omitzero"` // default false
	Conditional          *bool             `json:"conditional,omitzero"`            // ETag and Last-Modified from the last runs; default true
	Login                *Login            `json:"login,omitzero"`                  // default: none
	Auth                 *Auth             `json:"auth,omitzero"`                   // default: none
	Politeness           Politeness        `json:"politeness,omitzero"`             //
}

// Retry repeats transient failures; Retry-After wins over it.
type Retry struct {
	Attempts int      `json:"attempts,omitzero"` // in all, 1 to 100; default 4
	Base     Duration `json:"base,omitzero"`     // wait before the second attempt, doubled for each further one; over 0; default 1s
	Cap      Duration `json:"cap,omitzero"`      // longest wait, at least Base; default 5m
}

// Breaker stops asking a politeness key that keeps failing.
type Breaker struct {
	Failures int      `json:"failures,omitzero"`  // in a row that open it, at least 1; default 8
	CoolDown Duration `json:"cool_down,omitzero"` // how long it stays open; over 0; default 2m
}

// Roll says when a fetch shard's files are closed and begin to count: what a
// kill may cost.
type Roll struct {
	Every Duration `json:"every,omitzero"` // over 0; default 30s
	Bytes ByteSize `json:"bytes,omitzero"` // before compression, over 0; default 64MiB
}

// HostHeaders are headers by host pattern, then by name; values may hold
// secrets.
type HostHeaders map[string]map[string]string

// Login fills in a form before the first page of its registered domain is asked
// for, and again when the session is over: when a page is answered with 401,
// 403 or a redirect to URL.
type Login struct {
	URL     string            `json:"url"`
	Form    string            `json:"form,omitzero"`    // CSS of the form; default: the first with a password field
	Fields  map[string]string `json:"fields,omitempty"` // by input name; may hold secrets
	Success string            `json:"success,omitzero"` // "re:" RE2 or text that the answer's body holds; default: any 2xx without the form
}

// Auth is HTTP authentication. It goes where [Fetch].Headers that hold a secret
// go, and wins over them.
type Auth struct {
	Basic   string            `json:"basic,omitzero"`    // user:password; may hold secrets
	Headers map[string]string `json:"headers,omitempty"` // for example Authorization: "Bearer ${TOKEN}"; may hold secrets
}

// Values of [Politeness].
const (
	KeyHost             = "host"              // limits apply to the host
	KeyRegisteredDomain = "registered_domain" // limits apply to eTLD+1
	KeyIP               = "ip"                // limits apply to the address that a host has when it is first asked, IPv6 in full; one worker process only, and no proxies
	RobotsObey          = "obey"
	RobotsIgnore        = "ignore"
)

// Politeness limits what is asked of one politeness key.
type Politeness struct {
	Key       string                      `json:"key,omitzero"`        // host, registered_domain or ip; default host
	Robots    string                      `json:"robots,omitzero"`     // obey or ignore; default obey
	Default   PolitenessLimits            `json:"default,omitzero"`    // of every key
	Overrides map[string]PolitenessLimits `json:"overrides,omitempty"` // by host pattern, the longest that matches wins; what one doesn't say is Default's
	Adaptive  *bool                       `json:"adaptive,omitzero"`   // slow down as latency or errors rise; default true
}

// PolitenessLimits is the pace of one politeness key. Delay and Rate say the
// same thing in two ways; at most one is set. See [PolitenessLimits.Interval].
type PolitenessLimits struct {
	Concurrency int       `json:"concurrency,omitzero"` // exchanges in flight, 1 to 1024; default 1
	Delay       *Duration `json:"delay,omitzero"`       // between starts, at least 0s; default 1s
	Rate        Rate      `json:"rate,omitzero"`        // starts in a time: 5/s is delay 200ms
}
