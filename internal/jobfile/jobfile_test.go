package jobfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

// valid is the job that the tests below break in one place each.
const valid = `version: 1
job: shop
discover: {seeds: {urls: ["http://a.example/"]}}
parse:
  - record: book
    match: ["/b/**"]
    fields:
      title: {css: "h1", required: true}
      price: {css: ".p", type: money, currency: GBP}
      tags: {css: li, type: list}
`

// strict is what a real caller gives: hooks that refuse something.
var strict = Options{
	CheckSelector: func(kind, expr string) error {
		if strings.Contains(expr, "!!") {
			return fmt.Errorf("no %s: %q", kind, expr)
		}
		return nil
	},
	CheckGlob: func(pattern string) error {
		if strings.Contains(pattern, "***") {
			return errors.New("three stars")
		}
		return nil
	},
	CheckURL: func(url string) error {
		if !strings.HasPrefix(url, "http") {
			return errors.New("no URL")
		}
		return nil
	},
	KnownSink: func(name string) error {
		if name != "sqlite" {
			return fmt.Errorf("no sink is called %q; known: sqlite", name)
		}
		return nil
	},
	ExtractorRecords: func(use string, with json.RawMessage) ([]harrow.RecordType, error) {
		if use == "boxes" {
			var c struct {
				Size int `json:"size"`
			}
			if err := harrow.ReadConfig(with, &c); err != nil {
				return nil, fmt.Errorf("wrapped: %w", err)
			}
			return nil, &harrow.ConfigError{Key: "lid", Err: errors.New("is missing; expected a lid")}
		}
		if use != "shelves" {
			return nil, fmt.Errorf("no extractor is called %q; known: shelves", use)
		}
		return []harrow.RecordType{{Name: "shelf", Columns: []harrow.Column{{Name: "n", Type: harrow.Type{Kind: harrow.Int}}}}}, nil
	},
}

// problems reads a job and returns what is wrong with it, a line each,
// without the file's name.
func problems(t *testing.T, text string, params map[string]string) string {
	t.Helper()
	_, _, err := Parse("f", []byte(text), params, strict)
	if err == nil {
		return ""
	}
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %T %v; want Errors", err, err)
	}
	return strings.ReplaceAll("\n"+err.Error(), "\nf:", "\n")[1:]
}

func TestValidJobsRead(t *testing.T) {
	for name, more := range map[string]string{
		"the least":       "",
		"defaults said":   "fetch: {conditional: true, proxies: [], max_bundle_time: 0s, politeness: {adaptive: true, key: registered_domain}}\n",
		"nulls":           "fetch:\nrefine:\n  book:\nload:\n  sqlite:\n",
		"override":        "fetch: {politeness: {adaptive: false, overrides: {\"*.my-own.example\": {concurrency: 4, delay: 0s}, \"b.example:8080\": {rate: 30/m}}}}\n",
		"resolve":         "fetch: {resolve: {\"*.example\": \"127.0.0.1:8090\", a.example: \"::1\"}}\n",
		"keep":            "refine: {book: {key: [title, price_currency], keep: {latest: price_amount}}}\n",
		"keyed by url":    "refine: {book: {key: [_url], keep: most_complete}}\n",
		"rows":            "  - record: report\n    rows: csv\n    fields: {day: {column: day, regex: \"a\"}, url: {from: url}}\n",
		"rows by a path":  "  - record: report\n    rows: {json: \"$.a[*]\"}\n    fields: {day: {column: day}}\n",
		"an extractor":    "  - use: shelves\n    with: {a: [1, x]}\n    match: [\"/s/*\"]\nrefine: {shelf: {key: [n]}}\n",
		"the same record": "  - record: book\n    fields: {title: {jsonld: $.name}, isbn: {regex: \"ISBN (\\\\d+)\"}}\nrefine: {book: {key: [isbn]}}\n",
		"selectors":       "      a: {any: [{xpath: //a}, {jsonpath: $.a, regex: b}, {regex: c}], type: list(int), default: 5}\n      b: {from: \"carry:b\", type: timestamp, format: \"%d.%m.%y %H:%M\", zone: Europe/Berlin}\n      c: {css: c, type: float, default: ~}\n",
		"empty defaults":  "refine: {book: {check: [], enrich: [], operators: []}}\n",
	} {
		if got := problems(t, valid+more, nil); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestFollowRulesRead(t *testing.T) {
	for _, rule := range []string{
		`{css: "a@href"}`, `{css: "a@onclick", regex: "go.(.*?)'"}`, `{regex: "https?://.+"}`, `{jsonpath: "$..url"}`,
		`{xpath: //a/@href, carry: {b: {any: [{css: b}, {from: url}], required: true}, c: {css: "a@href", type: url}}}`,
	} {
		if _, _, err := Parse("f", []byte(follow(rule)), nil, strict); err != nil {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

func TestProblemsAreNamedWithPlaceAndExpectation(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"not YAML", "version: 1\njob: [a\n", `2:6: not YAML: sequence end token ']' not found`},
		{"not a mapping", "- 1\n", `1:1: the job file: got a list; expected a mapping with version, job, limits, discover, fetch, parse, refine or load`},
		{"two documents", valid + "---\njob: b\n", `12:1: a second document; expected one job a file`},
		{"anchor", strings.Replace(valid, "job: shop", "job: &x shop", 1), `2:6: anchors, aliases and tags are not supported; expected the value itself`},
		{"empty file", "", `1:1: version is missing; expected version: 1
1:1: job is missing; expected the job's name, [a-z][a-z0-9-]{0,62}
1:1: discover.seeds is missing; expected urls, files or sitemaps with at least one entry
1:1: parse is missing; expected at least one rule`},
		{"no seeds", strings.Replace(valid, "{seeds: {urls: [\"http://a.example/\"]}}", "{rounds: 2}", 1), `3:11: discover.seeds is missing; expected urls, files or sitemaps with at least one entry`},
		{"a sitemap that is no URL", strings.Replace(valid, "{urls: [", "{sitemaps: [\"http://a.example/s.xml\", s.xml], urls: [", 1),
			`3:57: discover.seeds.sitemaps[1]: got "s.xml"; expected the URL of a sitemap: no URL`},
		{"sitemaps of another kind", strings.Replace(valid, "{urls: [", "{sitemaps: all, urls: [", 1), `3:30: discover.seeds.sitemaps: got "all"; expected auto or a list of URLs`},
		{"sitemaps of no seeds", strings.Replace(valid, "{urls: [\"http://a.example/\"]}", "{sitemaps: auto}", 1),
			`3:30: discover.seeds.sitemaps: auto reads the robots.txt of the seeds' hosts; expected urls or files beside it, or a list of URLs`},
		{"sitemaps of no robots.txt", strings.Replace(valid, "{urls: [", "{sitemaps: auto, urls: [", 1) + "fetch: {politeness: {robots: ignore}}\n",
			`3:30: discover.seeds.sitemaps: auto reads robots.txt, which fetch.politeness.robots: ignore leaves out; expected a list of URLs`},
		{"no rule", valid[:strings.Index(valid, "parse:")] + "parse: []\n", `4:8: parse is missing; expected at least one rule`},
		{"wrong version", strings.Replace(valid, "version: 1", "version: 2", 1), `1:10: version: got the number 2; expected 1`},
		{"bad job name", strings.Replace(valid, "job: shop", "job: Shop_1", 1), `2:6: job: got "Shop_1"; expected [a-z][a-z0-9-]{0,62}`},
		{"a number for text", strings.Replace(valid, "job: shop", "job: 12", 1), `2:6: job: got the number 12; expected text, in quotes: "12"`},
		{"duplicated key", valid + "fetch: {timeout: 1s, timeout: 2s}\n", `11:22: fetch.timeout comes twice; expected once, it is in line 11 already`},
		{"unknown key", valid + "fetch: {retry: {atempts: 3}}\n", `11:17: unknown key fetch.retry.atempts; did you mean attempts? expected attempts, base or cap`},
		{"unknown key like none", valid + "fetch:\n  breaker:\n    zzz: 1\n", `13:5: unknown key fetch.breaker.zzz; expected failures or cool_down`},
		{"unknown top key", valid + "pares: []\n", `11:1: unknown key pares; did you mean parse? expected version, job, limits, discover, fetch, parse, refine or load`},

		{"text for a number", valid + "fetch: {in_flight: many}\n", `11:20: fetch.in_flight: got "many"; expected a whole number`},
		{"fraction for a whole number", valid + "fetch: {in_flight: 1.5}\n", `11:20: fetch.in_flight: got the number 1.5; expected a whole number`},
		{"text for a truth value", valid + "fetch: {allow_private_networks: yes}\n", `11:33: fetch.allow_private_networks: got "yes"; expected true or false`},
		{"scalar for a list", strings.Replace(valid, `["/b/**"]`, `"/b/**"`, 1), `6:12: parse[0].match: got "/b/**"; expected a list: [...]`},
		{"scalar for a mapping", valid + "fetch: {retry: 3}\n", `11:16: fetch.retry: got the number 3; expected a mapping with attempts, base or cap`},
		{"list for a scalar", valid + "fetch: {timeout: [1s]}\n", `11:18: fetch.timeout: got a list; expected a value like 30s`},
		{"nothing in a list", strings.Replace(valid, `["/b/**"]`, `[~]`, 1), `6:13: parse[0].match[0]: got nothing; expected a value`},
		{"out of range", valid + "fetch: {in_flight: 0, max_redirects: 101}\n", `11:20: fetch.in_flight: got the number 0; expected 1 to 65536
11:38: fetch.max_redirects: got the number 101; expected 0 to 100`},
		{"too small", valid + "limits: {memory: 1MiB}\n", `11:18: limits.memory: got "1MiB"; expected at least 64MiB`},
		{"zero", valid + "fetch: {timeout: 0s}\n", `11:18: fetch.timeout: got "0s"; expected more than 0s`},
		{"bad duration", valid + "fetch: {timeout: 30}\n", `11:18: fetch.timeout: got "30" is no duration; expected a number and a unit: 200ms, 30s, 5m, 1h30m`},
		{"bad size", valid + "fetch: {max_body: 10 MiBs}\n", `11:19: fetch.max_body: got "10 MiBs" is no size; expected a whole number and a unit: 64KiB, 10MiB, 1GiB`},
		{"bad rate", valid + "fetch: {politeness: {default: {rate: 5}}}\n", `11:38: fetch.politeness.default.rate: got "5" is no rate; expected a whole number over a unit: 5/s, 30/m, 100/h, 500/d`},
		{"bad auto", valid + "limits: {shards: 0}\n", `11:18: limits.shards: got "0"; expected auto or a whole number from 1 to 65536`},
		{"delay and rate", valid + "fetch: {politeness: {default: {delay: 1s, rate: 5/s}}}\n", `11:43: fetch.politeness.default.rate: delay is given too; expected one of delay and rate`},
		{"cap under base", valid + "fetch: {retry: {base: 10s, cap: 5s}}\n", `11:33: fetch.retry.cap: got 5s; expected at least base, 10s`},
		{"not one of", valid + "fetch: {politeness: {robots: ignored}}\n", `11:30: fetch.politeness.robots: got "ignored"; expected obey or ignore`},
		{"bad resolve", valid + "fetch: {resolve: {a.example: localhost}}\n", `11:30: fetch.resolve.a.example: got "localhost"; expected IP or IP:PORT`},
		{"bad host pattern", valid + "fetch: {politeness: {overrides: {\"http://a.example/\": {delay: 2s}}}}\n", `11:34: fetch.politeness.overrides: got "http://a.example/"; expected a host or *.host, without scheme and path`},
		{"header of two lines", valid + "fetch: {headers: {A: \"x\\ny\"}}\n", `11:22: fetch.headers.A: got "x\ny"; expected one line`},
		{"bad header name", valid + "fetch: {headers: {\"A b\": x}}\n", `11:19: fetch.headers: got "A b"; expected the name of an HTTP header`},
		{"headers of a path", valid + "fetch: {host_headers: {a.example/x: {A: b}}}\n", `11:24: fetch.host_headers: got "a.example/x"; expected a host or *.host, with http:// or https:// before it or not, without path`},
		{"bad header name of a host", valid + "fetch: {host_headers: {\"https://a.example\": {\"A b\": x}}}\n", `11:46: fetch.host_headers.https://a.example: got "A b"; expected the name of an HTTP header`},
		{"header of a host without value", valid + "fetch: {host_headers: {a.example: {A: }}}\n", `11:38: fetch.host_headers.a.example.A: got nothing; expected a value`},
		{"auth of nothing", valid + "fetch: {auth: {headers: {}}}\n", `11:15: fetch.auth.basic is missing; expected user:password, or headers`},
		{"auth twice", valid + "fetch: {auth: {basic: \"a:b\", headers: {authorization: x}}}\n", `11:40: fetch.auth.headers.authorization: basic is given too; expected one of them`},
		{"login nowhere", valid + "fetch: {login: {fields: {a: b}}}\n", `11:16: fetch.login.url is missing; expected the URL of the page with the form`},
		{"login at no URL", valid + "fetch: {login: {url: login, fields: {a: b}}}\n", `11:22: fetch.login.url: got "login"; expected the URL of the page with the form: no URL`},
		{"login with nothing", valid + "fetch: {login: {url: \"http://a.example/\"}}\n", `11:16: fetch.login.fields is missing; expected the form's fields by name, with what to fill in`},
		{"login without cookies", valid + "fetch: {cookies: false, login: {url: \"http://a.example/\", fields: {a: b}}}\n", `11:18: fetch.cookies: got false; expected true beside login, which is a session in cookies`},
		{"login by no form", valid + "fetch: {login: {url: \"http://a.example/\", form: \"f!!\", success: \"re:(\", fields: {a: b}}}\n",
			"11:49: fetch.login.form: got \"f!!\"; expected a selector (css): no css: \"f!!\"\n11:65: fetch.login.success: got \"re:(\"; expected RE2 after re:, but error parsing regexp: missing closing ): `(`"},
		{"secrets for everybody", strings.Replace(valid, "{seeds:", "{scope: {hosts: [\"*\"]}, seeds:", 1) + "fetch: {headers: {A: \"${B}\", C: d}, auth: {basic: \"${B}\"}}\n",
			`11:22: fetch.headers.A: what holds a secret goes to the hosts in discover.scope.hosts, which are all; expected hosts by name there, or fetch.host_headers
11:43: fetch.auth: goes to the hosts in discover.scope.hosts, which are all; expected hosts by name there, or fetch.host_headers`},

		{"bad glob", strings.Replace(valid, `["/b/**"]`, `["/a", "/***"]`, 1), `6:19: parse[0].match[1]: got "/***"; expected a glob, or re: and RE2: three stars`},
		{"bad re: glob", strings.Replace(valid, `["/b/**"]`, `["re:("]`, 1), "6:13: parse[0].match[0]: got \"re:(\"; expected RE2 after re:, but error parsing regexp: missing closing ): `(`"},
		{"bad selector", strings.Replace(valid, `"h1"`, `"h1!!"`, 1), `8:20: parse[0].fields.title.css: got "h1!!"; expected a selector (css): no css: "h1!!"`},
		{"bad regex", field(`x: {css: a, regex: "(a"}`), "11:26: parse[0].fields.x.regex: got \"(a\"; expected RE2, but error parsing regexp: missing closing ): `(a`"},
		{"each of an attribute", valid + "    each: li@href\n", `11:11: parse[0].each: got "li@href"; expected a selector of elements, without @attribute`},
		{"unknown type", field(`x: {css: a, type: monee}`), `11:25: parse[0].fields.x.type: got "monee"; expected money, url, text, int, float, bool, decimal, decimal(P,S), date, timestamp, list or list(TYPE)`},
		{"bad decimal", field(`x: {css: a, type: "decimal(40,2)"}`), `11:25: parse[0].fields.x.type: got "decimal(40,2)"; expected decimal(P,S) with 1 ≤ P ≤ 38 and 0 ≤ S ≤ P`},
		{"column without rows", field(`x: {column: a}`), `11:11: parse[0].fields.x.column: the rule has no rows; expected rows: csv, jsonl or json beside fields`},
		{"column without rows, one of any", field(`x: {any: [{column: a}]}`), `11:18: parse[0].fields.x.any[0].column: the rule has no rows; expected rows: csv, jsonl or json beside fields`},
		{"elements in rows", rowsJob(`rows: csv`, `x: {css: a}`), `9:11: parse[0].fields.x.css does not go with rows: csv; expected column, from or any`},
		{"linked data in rows", rowsJob(`rows: jsonl`, `x: {jsonld: $.a}`), `9:11: parse[0].fields.x.jsonld does not go with rows: jsonl; expected column, jsonpath, from or any`},
		{"a path in cells", rowsJob(`rows: csv`, `x: {jsonpath: $.a}`), `9:11: parse[0].fields.x.jsonpath does not go with rows: csv; expected column, from or any`},
		{"a page's text in rows", rowsJob(`rows: jsonl`, `x: {regex: a}`), `9:11: parse[0].fields.x.regex alone does not go with rows: jsonl; expected column, jsonpath, from or any beside it`},
		{"each with rows", rowsJob(`rows: csv`, `x: {column: a}`) + "    each: tr\n", `10:5: parse[0].each does not go with rows; expected one of them`},
		{"a bad path of rows", rowsJob(`rows: {json: "!!"}`, `x: {column: a}`), `7:11: parse[0].rows: got "!!"; expected a selector (jsonpath): no rows: "!!"`},
		{"a bad format of rows", rowsJob(`rows: xml`, `x: {column: a}`), `7:11: parse[0].rows: got "xml"; expected csv, jsonl or {json: "$.items[*]"}`},
		{"no selector", field(`x: {type: int}`), `11:10: parse[0].fields.x selects nothing; expected css, xpath, jsonpath, jsonld, column, from, any or regex`},
		{"an empty field", field(`x:`), `11:10: parse[0].fields.x: got nothing; expected a mapping`},
		{"two selectors", field(`x: {css: a, from: url}`), `11:19: parse[0].fields.x.from: css is given too; expected one selector, or any: [...]`},
		{"bad from", field(`x: {from: uri}`), `11:17: parse[0].fields.x.from: got "uri"; expected url, request_url, host, path, status, fetched_at, header:NAME or carry:NAME`},
		{"key for another type", field(`x: {css: a, currency: EUR}`), `11:19: parse[0].fields.x.currency does not go with type text; expected type money`},
		{"list of money", field(`x: {css: a, list: all, type: money}`), `11:19: parse[0].fields.x.list does not go with type money; expected type decimal or another of one column`},
		{"list of lists", field(`x: {css: a, type: "list(list)"}`), `11:25: parse[0].fields.x.type: got "list(list)"; expected list(TYPE) of single values`},
		{"decimal without quotes", field(`x: {css: a, type: decimal(18,2)}`), `11:25: parse[0].fields.x.type: got "decimal(18"; expected money, url, text, int, float, bool, decimal, decimal(P,S), date, timestamp, list or list(TYPE); within {…} a comma ends the value: write type: "decimal(18,2)", with the quotes` + "\n" + `11:36: unknown key parse[0].fields.x.2); expected css, xpath, jsonpath, jsonld, column, from, any, list, regex, map, type, currency, decimal, format, zone, required or default`},
		{"list of no type", field(`x: {css: a, type: "list(itn)"}`), `11:25: parse[0].fields.x.type: got "list(itn)"; expected money, url, text, int, float, bool, decimal, decimal(P,S), date, timestamp, list or list(TYPE)`},
		{"bad xpath", field(`x: {xpath: "//a!!"}`), `11:18: parse[0].fields.x.xpath: got "//a!!"; expected a selector (xpath): no xpath: "//a!!"`},
		{"bad format", field(`x: {css: a, type: date, format: "%d.%m"}`), `11:39: parse[0].fields.x.format: got "%d.%m"; expected strftime's directives: format "%d.%m": want one of %Y and %y`},
		{"bad zone", field(`x: {css: a, type: date, zone: CEST}`), `11:37: parse[0].fields.x.zone: got "CEST"; expected an IANA name such as Europe/Berlin`},
		{"format of no time", field(`x: {css: a, type: int, format: "%F"}`), `11:30: parse[0].fields.x.format does not go with type int; expected type date or timestamp`},
		{"default of another type", field(`x: {css: a, type: int, default: many}`), `11:39: parse[0].fields.x.default: got "many": "many": want a whole number: unexpected 'm'`},
		{"default of a list's element", field(`x: {css: a, type: "list(date)", default: "1.2.2024"}`), `11:48: parse[0].fields.x.default: got "1.2.2024": "1.2.2024": want a date, ISO 8601: at "1.2.2024": want 4 digits`},
		{"default by the format", field(`x: {css: a, type: date, format: "%d.%m.%Y", default: "2024-02-01"}`), `11:60: parse[0].fields.x.default: got "2024-02-01": "2024-02-01": want a date, %d.%m.%Y: at "24-02-01": want "."`},
		{"default of money without a currency", field(`x: {css: a, type: money, default: 0}`), `11:41: parse[0].fields.x.default: got 0: "0": want an amount of money: no currency`},
		{"empty default", field(`x: {css: a, default: " "}`), `11:28: parse[0].fields.x.default: got " "; expected a text that is not empty, or null`},
		{"default that is never needed", field(`x: {css: a, required: true, default: y}`), `11:35: parse[0].fields.x.default does not go with required; expected one of them`},
		{"map to another type", field(`x: {css: a, type: bool, map: {in stock: 1, gone: never}}`), `11:36: parse[0].fields.x.map: got "never": "never": want true, yes, y, t, on, 1 or false, no, n, f, off, 0`},
		{"alternative of two selectors", field(`x: {any: [{css: a}, {css: b, jsonld: $.c}]}`), `11:36: parse[0].fields.x.any[1].jsonld: css is given too; expected one selector, or any: [...]`},
		{"alternatives in an alternative", field(`x: {any: [{any: [{css: b}]}]}`), `11:17: parse[0].fields.x.any[0] selects nothing; expected css, xpath, jsonpath, jsonld, column, from or regex
11:18: parse[0].fields.x.any[0].any does not belong to an alternative; expected it beside any, or a selector and regex only`},
		{"type of an alternative", field(`x: {any: [{css: b, type: int}]}`), `11:26: parse[0].fields.x.any[0].type does not belong to an alternative; expected it beside any, or a selector and regex only`},
		{"no alternatives", field(`x: {any: []}`), `11:16: parse[0].fields.x.any: got nothing; expected at least one selector`},
		{"two selectors of a follow rule", follow(`{css: a, regex: b, xpath: c}`), `3:40: discover.follow[0].xpath: css is given too; expected one selector, or any: [...]`},
		{"type of what is carried", follow(`{css: a, carry: {n: {css: b, type: int}}}`), `3:56: discover.follow[0].carry.n.type: got int; expected text or url, and the type where the column is read, by from: carry:n`},
		{"list of what is carried", follow(`{css: a, carry: {n: {css: b, list: all}}}`), `3:50: discover.follow[0].carry.n.list: one value is handed on; expected no list`},
		{"column of what is carried", follow(`{css: a, carry: {n: {column: b}}}`), `3:42: discover.follow[0].carry.n.column: a page has no rows; expected css, xpath, jsonpath, jsonld, from or any`},
		{"bad column name", field(`_x: {css: a}`), `11:7: parse[0].fields._x: column name "_x"; expected [A-Za-z][A-Za-z0-9_]{0,62}`},
		{"column twice", field(`price_amount: {css: a}`), `11:7: parse[0].fields.price_amount: column price_amount is made by the field price already; expected names that differ in more than case`},
		{"map to a list", field(`x: {css: a, map: {a: [1]}}`), `11:24: parse[0].fields.x.map: got a: [1]; expected a text, number, true, false or null`},
		{"use and fields", valid + "    use: shelves\n", `5:5: parse[0].record does not go with use; expected one of them
7:5: parse[0].fields does not go with use; expected one of them`},
		{"rule without a record", valid + "  - fields: {x: {css: a}}\n", `11:5: parse[1].record is missing; expected the record's name, or use: EXTRACTOR`},
		{"an unknown key of a plug-in", valid + "  - use: boxes\n    with:\n      siez: 1\n", `13:13: parse[1].with.siez: unknown key; expected size`},
		{"a key of a plug-in of another type", valid + "  - use: boxes\n    with: {size: big}\n", `12:18: parse[1].with.size: got string; expected a whole number`},
		{"a key that a plug-in misses", valid + "  - use: boxes\n", `11:10: parse[1].with.lid: is missing; expected a lid`},
		{"unknown extractor", valid + "  - use: drawers\n", `11:10: parse[1].use: no extractor is called "drawers"; known: shelves`},
		{"other column type", valid + "  - record: book\n    fields: {title: {css: a, type: int}}\n", `12:14: parse[1].fields.title: column title of book is int here; expected text as in an earlier rule`},
		{"records like each other", valid + "  - record: Book\n    fields: {title: {css: a}}\n", `5:3: parse: the records book and Book differ in case only; expected names that differ in more`},

		{"dangling record", valid + "refine: {boook: {key: [title]}}\n", `11:10: refine.boook: no rule makes a record of this name; did you mean book? expected book`},
		{"dangling key", valid + "refine:\n  book: {key: [titel]}\n", `12:16: refine.book.key[0]: book has no column titel; did you mean title? expected title, price_amount, price_currency or tags`},
		{"money as a key", valid + "refine: {book: {key: [price]}}\n", `11:23: refine.book.key[0]: book has no column price; money has two columns, did you mean price_amount? expected title, price_amount, price_currency or tags`},
		{"list as a key", valid + "refine: {book: {key: [tags]}}\n", `11:23: refine.book.key[0]: tags is a list; expected a column of one value for a key`},
		{"key twice", valid + "refine: {book: {key: [title, title]}}\n", `11:30: refine.book.key[1]: title comes twice; expected once`},
		{"bad keep", valid + "refine: {book: {keep: newest}}\n", `11:23: refine.book.keep: got "newest"; expected latest, {latest: COLUMN}, first or most_complete`},
		{"dangling keep", valid + "refine: {book: {keep: {latest: day}}}\n", `11:23: refine.book.keep: book has no column day; expected title, price_amount, price_currency or tags`},
		{"dangling check", valid + "refine: {book: {check: [{field: year, min: 1}]}}\n", `11:33: refine.book.check[0].field: book has no column year; expected title, price_amount, price_currency or tags`},
		{"check of another type", valid + "refine: {book: {check: [{field: price_amount, min: cheap}]}}\n", `11:52: refine.book.check[0].min: got "cheap"; expected a number, since price_amount is decimal(38,9)`},
		{"check of nothing", valid + "refine: {book: {check: [{field: title}]}}\n", `11:25: refine.book.check[0] demands nothing; expected min, max, in, required, pattern or length`},
		{"dangling threshold", valid + "refine: {book: {thresholds: {coverage: {price: 0.5}}}}\n", `11:41: refine.book.thresholds.coverage.price: book has no column price; money has two columns, did you mean price_amount? expected title, price_amount, price_currency or tags`},
		{"threshold out of range", valid + "refine: {book: {thresholds: {max_reject_rate: 5}}}\n", `11:47: refine.book.thresholds.max_reject_rate: got the number 5; expected 0 to 1`},
		{"dangling join", valid + "refine: {book: {enrich: [{lookup: {file: r.csv, join: {currency: code}}, add: {title: {expr: t}}}]}}\n", `11:56: refine.book.enrich[0].lookup.join.currency: book has no column currency; expected title, price_amount, price_currency or tags
11:80: refine.book.enrich[0].add.title: book has a column title already; expected a new name`},
		{"unknown sink", valid + "load:\n  sqlite: {}\n  mysql: {}\n", `13:3: load.mysql: no sink is called "mysql"; known: sqlite`},
		{"several at once", strings.Replace(valid, "job: shop", "job: SHOP", 1) + "fetch: {timeout: x}\nload: {mysql: {}}\n", `2:6: job: got "SHOP"; expected [a-z][a-z0-9-]{0,62}
11:18: fetch.timeout: got "x" is no duration; expected a number and a unit: 200ms, 30s, 5m, 1h30m
12:8: load.mysql: no sink is called "mysql"; known: sqlite`},
		{"proxies", valid + "fetch:\n  proxies:\n    - http://p.example:3128\n    - https://${PUSER}:${PPASS}@p.example:${PPORT}\n    - ${PROXY}\n    - ftp://u:geheim@p.example:21\n    - socks5://p.example\n    - http://:3128/\n    - http://u:geheim@p.example:3128\n    - http://p.example:99999\n    - http://p.example:1/x\n    - \"http://a b:geheim@x:1\"\n    - socks5://[::1]:1080/\n",
			`16:7: fetch.proxies[3]: scheme "ftp"; expected http, https or socks5://[user:password@]host:port
17:7: fetch.proxies[4]: port ""; expected http, https or socks5://[user:password@]host:port
18:7: fetch.proxies[5]: it has no host; expected http, https or socks5://[user:password@]host:port
19:7: fetch.proxies[6]: the password stands in the file; expected ${NAME} or ${file:/path} in its place
20:7: fetch.proxies[7]: port "99999"; expected http, https or socks5://[user:password@]host:port
21:7: fetch.proxies[8]: it goes on after the port; expected http, https or socks5://[user:password@]host:port
22:7: fetch.proxies[9]: this is no URL; expected http, https or socks5://[user:password@]host:port`},
		{"limits by address behind a proxy", valid + "fetch: {proxies: [\"http://p.example:3128\"], politeness: {key: ip}}\n", `11:63: fetch.politeness.key: ip does not go with fetch.proxies: behind a proxy nobody sees a host's address; expected host or registered_domain`},
		{"what depends on a wrong field isn't reported", field(`pages: {css: a, type: itn}`) + "refine: {book: {key: [pagse]}}\n", `11:29: parse[0].fields.pages.type: got "itn"; expected money, url, text, int, float, bool, decimal, decimal(P,S), date, timestamp, list or list(TYPE)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := problems(t, test.text, nil); got != test.want {
				t.Errorf("%s\n got %s\nwant %s", test.text, got, test.want)
			}
		})
	}
}

// rowsJob is a job of one rule, whose rows are in line 7 and field in line 9.
func rowsJob(rows, field string) string {
	head := valid[:strings.Index(valid, "    fields:")]
	return head + "    " + rows + "\n    fields:\n      " + field + "\n"
}

// follow is the valid job with a follow rule, in line 3.
func follow(text string) string {
	return strings.Replace(valid, "discover: {seeds:", "discover: {follow: ["+text+"], seeds:", 1)
}

// field is the valid job with one more field, in line 11.
func field(text string) string { return valid + "      " + text + "\n" }
