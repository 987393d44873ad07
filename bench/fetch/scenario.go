package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// scenario is a web to harvest and what politeness allows there.
type scenario struct {
	Name        string
	Hosts       hostSizes     // pages of each host
	Latency     time.Duration // of every answer
	Concurrency int           // as configured
	CrawlDelay  time.Duration // what every robots.txt asks for; 0: there is none (404)
	Size        int           // bytes of a page
	Rounds      int           // discover.rounds
	Until       string        // last stage of the run; empty: all
	Lean        bool          // the site keeps figures of its hosts, and no entry of every request
}

// hostSizes travel as runs of equal sizes: how many, and which.
type hostSizes []int

// MarshalJSON implements json.Marshaler.
func (h hostSizes) MarshalJSON() ([]byte, error) {
	var runs [][2]int
	for _, n := range h {
		if len(runs) == 0 || runs[len(runs)-1][1] != n {
			runs = append(runs, [2]int{0, n})
		}
		runs[len(runs)-1][0]++
	}
	return json.Marshal(runs)
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *hostSizes) UnmarshalJSON(data []byte) error {
	var runs [][2]int
	if err := json.Unmarshal(data, &runs); err != nil {
		return err
	}
	*h = nil
	for _, r := range runs {
		*h = append(*h, slices.Repeat([]int{r[1]}, r[0])...)
	}
	return nil
}

// linked is which pages are found by a link: the last of every twenty of a
// host that has so many. The others are seeds.
const linked = 20

// bigHost is 20,000 pages on 200 hosts, one of which has 30% of them.
func bigHost(size int, small bool) scenario {
	pages, hosts := 20_000, 200
	if small {
		pages, hosts = 600, 20
	}
	s := scenario{Name: "a", Latency: 50 * time.Millisecond, Concurrency: 4, Size: size, Rounds: 1}
	s.Hosts = []int{pages * 3 / 10}
	rest := pages - s.Hosts[0]
	for i := range hosts - 1 {
		s.Hosts = append(s.Hosts, rest*(i+1)/(hosts-1)-rest*i/(hosts-1))
	}
	return s
}

// manyHosts is 2,000 hosts of 1 to 40 pages that ask for a second between two
// requests.
func manyHosts(size int, small bool) scenario {
	hosts, most := 2000, 40
	if small {
		hosts, most = 60, 3
	}
	s := scenario{Name: "b", Latency: 50 * time.Millisecond, Concurrency: 1, CrawlDelay: time.Second, Size: size, Rounds: 3}
	for i := range hosts {
		s.Hosts = append(s.Hosts, 1+i*7%most)
	}
	return s
}

// sameDelay is 200 hosts of 20 to 40 pages that ask for two seconds between two
// requests: nothing but their delay takes time. It ends with fetch.
func sameDelay(size int, small bool) scenario {
	hosts, least, most, delay := 200, 20, 40, 2*time.Second
	if small {
		hosts, least, most, delay = 20, 2, 4, 500*time.Millisecond
	}
	s := scenario{Name: "d", Latency: 50 * time.Millisecond, Concurrency: 1, CrawlDelay: delay, Size: size, Rounds: 1, Until: "fetch"}
	for i := range hosts {
		s.Hosts = append(s.Hosts, least+i*7%(most-least+1))
	}
	return s
}

// mostHosts is n requests over n/10 hosts, one of which has half of them. It
// ends with fetch, and memory and cost are what counts.
func mostHosts(n int) scenario {
	s := scenario{Name: "c", Hosts: hostSizes{n / 2}, Concurrency: 32, Size: 1, Rounds: 1, Until: "fetch", Lean: true}
	hosts := max(n/10, 2)
	for i := range hosts - 1 {
		s.Hosts = append(s.Hosts, n/2*(i+1)/(hosts-1)-n/2*i/(hosts-1))
	}
	return s
}

func (s scenario) pages() (n int) {
	for _, pages := range s.Hosts {
		n += pages
	}
	return n
}

func (s scenario) String() string {
	if s.Lean {
		return fmt.Sprintf("%d pages on %d hosts, one with %d, %d at once per host", s.pages(), len(s.Hosts), s.Hosts[0], s.Concurrency)
	}
	text := fmt.Sprintf("%d pages on %d hosts, %d at once per host", s.pages(), len(s.Hosts), s.Concurrency)
	if s.CrawlDelay > 0 {
		text += fmt.Sprintf(", crawl-delay %v", s.CrawlDelay)
	}
	return text + fmt.Sprintf(", %v latency, pages of %d KB", s.Latency, s.Size/1000)
}

// hostName is the name of host i. Each is a registered domain of its own.
func hostName(i int) string { return fmt.Sprintf("h%04d.example", i) }

// path is where page n of all hosts together lies; no two hosts share one.
func path(n int) string { return fmt.Sprintf("/p/%d.html", n) }

// isLinked reports whether a host's page i is found by a link, from its front
// page.
func isLinked(i int) bool { return i%linked == linked-1 }

// seeds are the job's seeds, a line each, host after host as somebody would
// write them down: the front pages, where there is one, and all pages that
// none links to.
func (s scenario) seeds() string {
	var b strings.Builder
	first := 0
	for h, pages := range s.Hosts {
		if pages >= linked {
			fmt.Fprintf(&b, "http://%s/\n", hostName(h))
		}
		for i := range pages {
			if !isLinked(i) {
				fmt.Fprintf(&b, "http://%s%s\n", hostName(h), path(first+i))
			}
		}
		first += pages
	}
	return b.String()
}

// requests is what host h is to be asked for beside its robots.txt.
func (s scenario) requests(h int) int {
	if s.Hosts[h] >= linked {
		return s.Hosts[h] + 1
	}
	return s.Hosts[h]
}

// jobFile is the harvest; to be filled in are the number of rounds, the site's
// address, the concurrency, the memory and the store. Rolls are smaller than by default,
// since parse has one goroutine a part: of the three or four parts that this
// little comes to, one core would get two.
const jobFile = `version: 1
job: bench
discover:
  seeds: {files: ["seeds.txt"]}
  scope: {hosts: ["*.example"]}
  follow: [{within: ["/"], css: "ul.more a@href"}]
  rounds: %d
fetch:
  resolve: {"*.example": "%s"}
  roll: {bytes: 16MiB}
  politeness:
    default: {concurrency: %d, delay: 0s}
limits: {memory: %dMiB}
parse:
  - record: product
    match: ["/p/*.html"]
    fields:
      upc:    {css: "th:contains('UPC') + td", required: true}
      title:  {css: "h1", required: true}
      price:  {css: ".price_color", type: money, currency: GBP}
      stock:  {css: ".availability", regex: "(\\d+) available", type: int}
      brand:  {css: "th:contains('Publisher') + td"}
refine:
  product: {key: [upc]}
load:
  %s
`

func (s scenario) job(addr string) string {
	load := "sqlite: {}"
	if s.Until != "" { // nothing is loaded, and a cluster wants no SQLite
		load = "parquet: {path: out}"
	}
	return fmt.Sprintf(jobFile, s.Rounds, addr, s.Concurrency, s.memory()>>20, load)
}

// memory is limits.memory.
func (s scenario) memory() int64 {
	if s.Lean {
		return 256 << 20
	}
	return 1 << 30
}
