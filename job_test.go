package harrow

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// full is a job that uses every key.
const full = `{
 "version": 1, "job": "shop",
 "limits": {"memory": "2GiB", "spill": "/var/tmp", "fetch_shards": "4", "shards": "8", "document": "1536KiB"},
 "discover": {
  "seeds": {"urls": ["http://a.example/"], "files": ["s/*.txt"], "sitemaps": "auto"},
  "scope": {"hosts": ["a.example"], "include": ["/**"], "exclude": ["re:x"], "max_depth": 0, "max_pages": 10},
  "follow": [{"within": ["/"], "css": "a@href", "carry": {"b": {"css": "h1"}, "a": {"css": "h2"}}}, {"xpath": "//a"}, {"jsonpath": "$.a"}, {"regex": "(x)"}],
  "rounds": 2, "canonical": {"strip": [], "sort_query": true}},
 "fetch": {
  "user_agent": "x", "timeout": "1m30s", "max_body": "1MiB", "max_redirects": 0, "max_time": "1h", "max_bundle_time": "10m", "in_flight": 2,
  "retry": {"attempts": 1, "base": "200ms", "cap": "2s"}, "breaker": {"failures": 2, "cool_down": "3s"}, "roll": {"every": "1s", "bytes": "3B"},
  "headers": {"A": "${B}"}, "proxies": ["http://p"], "resolve": {"*.x": "127.0.0.1:1"}, "allow_private_networks": true, "conditional": false,
  "login": {"url": "http://l", "form": "form", "fields": {"u": "v"}, "success": "ok"}, "auth": {"basic": "a:b"},
  "politeness": {"key": "ip", "robots": "ignore", "default": {"concurrency": 2, "delay": "0s"}, "overrides": {"b": {"concurrency": 3, "rate": "5/s"}}, "adaptive": false}},
 "parse": [
  {"record": "r", "match": ["/"], "content_type": ["text/html"], "last": true, "each": "li", "fields": {
   "z": {"css": "a", "list": "all"}, "a": {"any": [{"jsonld": "$"}, {"column": "c"}], "regex": "(x)", "map": {"b": 1.10, "a": null, "c": "d", "e": true}, "type": "decimal(9,2)", "decimal": ",", "required": true, "default": 0},
   "m": {"from": "url", "type": "money", "currency": "EUR"}, "d": {"xpath": "//d", "type": "date", "format": "%d", "zone": "UTC"}, "j": {"jsonpath": "$.j", "type": "int"}}},
  {"record": "s", "rows": "csv", "fields": {"a": {"column": "a", "type": "text"}}},
  {"record": "t", "rows": {"json": "$.x"}, "fields": {"a": {"column": "a", "type": "text"}}},
  {"use": "e", "with": {"k": 1}}],
 "refine": {
  "r": {"key": ["a"], "keep": {"latest": "z"}, "check": [{"field": "a", "required": true, "min": 0, "max": 1.50, "in": [1, "x"], "pattern": "p", "length": {"min": 1, "max": 0}}, {"expr": "a > 1"}],
   "enrich": [{"lookup": {"file": "f.csv", "join": {"a": "b"}}, "add": {"y": {"expr": "1", "type": "decimal"}, "b": {"expr": "2"}}}],
   "operators": [{"use": "o", "with": [1]}], "thresholds": {"min_rows": 1, "max_reject_rate": 0, "coverage": {"a": 0.5}}},
  "s": {"keep": "first"}},
 "load": {"sqlite": {}, "postgres": {"url": "${U}"}}
}`

func decode(t *testing.T, text string) Job {
	t.Helper()
	var j Job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	return j
}

func encode(t *testing.T, j Job) string {
	t.Helper()
	b, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestJobSurvivesItsJSON(t *testing.T) {
	for name, j := range map[string]Job{"full": decode(t, encode(t, decode(t, full))), "empty": {}} {
		if again := decode(t, encode(t, j)); encode(t, again) != encode(t, j) {
			t.Errorf("%s\n got %s\nwant %s", name, encode(t, again), encode(t, j))
		}
		j.SetDefaults()
		once := encode(t, j)
		if again := decode(t, once); !reflect.DeepEqual(again, j) {
			t.Errorf("%s: %+v\nbecame %+v", name, j, again)
		}
		if j.SetDefaults(); encode(t, j) != once {
			t.Errorf("%s: defaults filled in twice differ", name)
		}
	}
	// Nothing of the full job is lost on the way.
	var want, got any
	for text, v := range map[string]*any{full: &want, encode(t, decode(t, full)): &got} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestOrderIsKept(t *testing.T) {
	j := decode(t, encode(t, decode(t, full)))
	var names string
	for _, f := range j.Parse[0].Fields {
		names += f.Name
	}
	for _, e := range j.Parse[0].Fields[1].Map {
		names += e.From
	}
	for _, a := range j.Refine["r"].Enrich[0].Add {
		names += a.Name
	}
	if names != "zamdj"+"bace"+"yb" {
		t.Errorf("order became %s", names)
	}
	if to, _ := j.Parse[0].Fields[1].Map.Lookup("b"); to.Text() != "1.10" {
		t.Errorf("1.10 became %s", to)
	}
	var f Fields
	if err := json.Unmarshal([]byte(`{"a":{},"a":{}}`), &f); err == nil {
		t.Error("a field twice is taken")
	}
}

func TestScalarsRead(t *testing.T) {
	for _, test := range []struct {
		into interface {
			UnmarshalText([]byte) error
			MarshalText() ([]byte, error)
		}
		text, want string
	}{
		{new(Duration), "90s", "1m30s"}, {new(Duration), "300s", "5m"}, {new(Duration), "2h", "2h"}, {new(Duration), "1h0m5s", "1h0m5s"}, {new(Duration), "0s", "0s"},
		{new(ByteSize), "1536KiB", "1536KiB"}, {new(ByteSize), "1024 MiB", "1GiB"}, {new(ByteSize), "1000", "1000B"}, {new(ByteSize), "2MB", "2000000B"}, {new(ByteSize), "0", "0B"},
		{new(Rate), "5/s", "5/s"}, {new(Rate), "90/h", "90/h"}, {new(Auto), "auto", "auto"}, {new(Auto), "16", "16"},
		{new(Duration), "30", ""}, {new(Duration), "-1s", ""}, {new(ByteSize), "-1", ""}, {new(ByteSize), "9999999TiB", ""}, {new(ByteSize), "1.5GiB", ""},
		{new(Rate), "0/s", ""}, {new(Rate), "5", ""}, {new(Rate), "5/w", ""}, {new(Auto), "0", ""}, {new(Auto), "65537", ""},
	} {
		err := test.into.UnmarshalText([]byte(test.text))
		if test.want == "" {
			if err == nil {
				t.Errorf("%T %q is taken: %v", test.into, test.text, test.into)
			}
			continue
		}
		if got, _ := test.into.MarshalText(); err != nil || string(got) != test.want {
			t.Errorf("%T %q: %q %v; want %q", test.into, test.text, got, err, test.want)
		}
	}
}

func TestScalarsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Min(0).Draw(t, "duration"))
		b := ByteSize(rapid.Int64Min(0).Draw(t, "size"))
		r := Rate{rapid.IntMin(1).Draw(t, "count"), rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "per")}
		s := rapid.String().Draw(t, "text")
		var d2 Duration
		var b2 ByteSize
		var r2 Rate
		if err := d2.UnmarshalText([]byte(d.String())); err != nil || d2 != d {
			t.Fatalf("%s: %s %v", d, d2, err)
		}
		if err := b2.UnmarshalText([]byte(b.String())); err != nil || b2 != b {
			t.Fatalf("%s: %s %v", b, b2, err)
		}
		if err := r2.UnmarshalText([]byte(r.String())); err != nil || r2 != r {
			t.Fatalf("%s: %s %v", r, r2, err)
		}
		if got := TextScalar(s).Text(); got != s {
			t.Fatalf("%q: %q", s, got)
		}
	})
}

func TestIntervalNeverExceedsTheRate(t *testing.T) {
	for text, want := range map[string]time.Duration{"5/s": 200 * time.Millisecond, "3/s": 333333334, "60/m": time.Second} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r.Interval() != want {
			t.Errorf("%s: %v %v; want %v", text, r.Interval(), err, want)
		}
	}
	if got := (PolitenessLimits{}).Interval(); got != time.Second {
		t.Errorf("default: %v", got)
	}
}
