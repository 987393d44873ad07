package rules

import (
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

const shopHTML = `<!DOCTYPE html><html><head><base href="/media/"><title>T</title>
<script type="application/ld+json">{"@context":"https://schema.org","@graph":[{"@type":"Thing"},{"name":"Tilth","price":12.50,"big":1e3,
"brand":{"name":"Seed  bed"},"image":["a.png","b.png"],"stock":true,"nothing":null,"more":{"b":[2,3],"a":1}}]}</script></head><body>
<h1 class=t>
  The  <b>Tilth</b>&nbsp;of
 Places </h1><h1>Second</h1><p class=empty> </p>
<table><tr><th>UPC</th><td>978 1</td></tr><tr><th>Publisher</th><td>Harbour</td></tr></table>
<p class="price">£51.77</p><p class="odd">on request</p><p class="instock">In stock (22 available)</p>
<p class="star-rating Two"></p><ul><li> a<li>b  c<li> <li>d</ul>
<a>none</a><a HREF="../x.html?utm_source=1&q=2#f">x</a><a href="mailto:me@books.example">mail</a><a href="y">y</a>
<svg viewBox="0 0 1 1"><a xlink:href="z"/></svg></body></html>`

func TestFieldSteps(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		want        string // columns of the row; "!code value" for a reject
	}{
		{"css takes the first match's text with white space collapsed", `{"css":"h1"}`, `f="The Tilth of Places"`},
		{"attribute", `{"css":"p.star-rating@class"}`, `f="star-rating Two"`},
		{"attribute: elements without it are passed over", `{"css":"a@href"}`, `f="../x.html?utm_source=1&q=2#f"`},
		{"attribute names ignore case", `{"css":"svg@viewBox"}`, `f="0 0 1 1"`},
		{"attribute of a namespace", `{"css":"svg a@xlink:href"}`, `f="z"`},
		{"contains", `{"css":"th:contains('UPC') + td"}`, `f="978 1"`},
		{"selector group takes the first in the document", `{"css":"ul li, h1"}`, `f="The Tilth of Places"`},
		{"nothing selected", `{"css":"h6"}`, ``},
		{"empty text is nothing selected", `{"css":"p.empty"}`, ``},
		{"required, nothing selected", `{"css":"h6","required":true}`, `!required `},
		{"required, empty", `{"css":"p.empty","required":true}`, `!required `},
		{"required, regex finds nothing", `{"css":"h1","regex":"x(y)","required":true}`, `!required `},
		{"list", `{"css":"li","type":"list"}`, `f=["a" "b c" "d"]`},
		{"list: all", `{"css":"li","list":"all"}`, `f=["a" "b c" "d"]`},
		{"list of nothing", `{"css":"h6","type":"list"}`, ``},
		{"list with regex keeps what matches", `{"css":"li","regex":"^[ab]","type":"list"}`, `f=["a" "b"]`},
		{"list with map", `{"css":"ul li:first-child","map":{"a":"A"},"type":"list"}`, `f=["A"]`},
		{"list item not in the map", `{"css":"li","map":{"a":"A"},"type":"list"}`, `!map b c`},
		{"list of URLs", `{"css":"a[href^='..']@href","list":"all","type":"url"}`, `f=["http://books.example/x.html?q=2"]`},
		{"list of numbers", `{"css":"p","regex":"(\\d+) available","list":"all","type":"int"}`, `f=[22]`},
		{"list of numbers by its type", `{"jsonld":"$.more.*","regex":"[123]","type":"list(int)"}`, `f=[1 2 3]`},
		{"list of decimals", `{"jsonld":"$['price','price']","type":"list(decimal(4,2))"}`, `f=[12.5 12.5]`},
		{"list of decimals, one with too many digits", `{"jsonld":"$['price','price']","list":"all","type":"decimal(2,1)"}`, `!type 12.50`},
		{"list of numbers, one is none", `{"css":"td","list":"all","type":"int"}`, `!type 978 1`},
		{"list of numbers, required", `{"css":"h6","list":"all","type":"int","required":true}`, `!required `},
		{"xpath text", `{"xpath":"//h1"}`, `f="The Tilth of Places"`},
		{"xpath attribute", `{"xpath":"//p[contains(@class, 'star-rating')]/@class"}`, `f="star-rating Two"`},
		{"xpath text()", `{"xpath":"//h1/b/text()"}`, `f="Tilth"`},
		{"xpath of a value", `{"xpath":"count(//li)","type":"int"}`, `f=4`},
		{"xpath of a truth", `{"xpath":"//li = 'd'","type":"bool"}`, `f=true`},
		{"xpath of a string", `{"xpath":"substring-after(//p[@class='price'], '£')","type":"decimal"}`, `f=51.77`},
		{"xpath list", `{"xpath":"//ul/li[position() > 1]","type":"list"}`, `f=["b c" "d"]`},
		{"xpath of a neighbour", `{"xpath":"//th[.='UPC']/following-sibling::td"}`, `f="978 1"`},
		{"xpath of nothing", `{"xpath":"//h6","required":true}`, `!required `},
		{"xpath of an empty string is nothing", `{"xpath":"string(//h6)"}`, ``},
		{"any takes the first that selects", `{"any":[{"css":"h6"},{"xpath":"//h5"},{"jsonld":"$.name"},{"css":"h1"}]}`, `f="Tilth"`},
		{"any passes over an empty text", `{"any":[{"css":"p.empty"},{"css":"td"}]}`, `f="978 1"`},
		{"any with a regex of its own", `{"any":[{"css":"h1","regex":"x(.*)"},{"css":".instock","regex":"\\d+"}],"type":"int"}`, `f=22`},
		{"any with regex alone", `{"any":[{"css":"h6"},{"regex":"<title>(.*?)</title>"}]}`, `f="T"`},
		{"any, then the field's regex", `{"any":[{"css":"h6"},{"css":".instock"}],"regex":"\\d+"}`, `f="22"`},
		{"any of a list takes all of one", `{"any":[{"css":"h6"},{"css":"li"},{"css":"td"}],"type":"list"}`, `f=["a" "b c" "d"]`},
		{"any of nothing", `{"any":[{"css":"h6"},{"from":"header:none"}],"required":true}`, `!required `},
		{"any where the page is no JSON", `{"any":[{"jsonpath":"$.a"},{"css":"td"}]}`, `f="978 1"`},
		{"default", `{"css":"h6","default":"none"}`, `f="none"`},
		{"default of a number", `{"css":"h6","type":"int","default":7}`, `f=7`},
		{"default of money", `{"css":"h6","type":"money","currency":"GBP","default":0}`, `f_amount=0 f_currency="GBP"`},
		{"default of a list", `{"css":"h6","type":"list(int)","default":7}`, `f=[7]`},
		{"default of a URL", `{"css":"h6","type":"url","default":"none.png"}`, `f="http://books.example/media/none.png"`},
		{"default stands in where regex finds nothing", `{"css":"h1","regex":"x(y)","default":"z"}`, `f="z"`},
		{"default stands in for a null of the map", `{"css":"td","map":{"978 1":null},"default":"z"}`, `f="z"`},
		{"default doesn't hide what can't be read", `{"css":"td","type":"int","default":1}`, `!type 978 1`},
		{"null is no default", `{"css":"h6","default":null}`, ``},
		{"bool", `{"jsonld":"$.stock","type":"bool"}`, `f=true`},
		{"not a bool", `{"css":"td","type":"bool"}`, `!type 978 1`},
		{"float", `{"jsonld":"$.big","type":"float"}`, `f=1000`},
		{"not a float", `{"css":"h1","type":"float"}`, `!type The Tilth of Places`},
		{"timestamp", `{"from":"fetched_at","type":"timestamp"}`, `f=2026-01-02 03:04:05.25 +0000 UTC`},
		{"timestamp in a zone", `{"from":"fetched_at","regex":"(.*)[.]","type":"timestamp","zone":"Asia/Tokyo"}`, `f=2026-01-01 18:04:05 +0000 UTC`},
		{"date", `{"from":"fetched_at","type":"date"}`, `f=2026-01-02 00:00:00 +0000 UTC`},
		{"date by a format", `{"css":"td","regex":"^\\d+ \\d$","map":{"978 1":"Feb 3, 26"},"type":"date","format":"%b %d, %y"}`, `f=2026-02-03 00:00:00 +0000 UTC`},
		{"not a date", `{"css":"td","type":"date"}`, `!type 978 1`},
		{"list of dates", `{"from":"fetched_at","type":"list(date)"}`, `f=[2026-01-02 00:00:00 +0000 UTC]`},
		{"carry", `{"from":"carry:category"}`, `f="Field craft"`},
		{"carry of a number", `{"from":"carry:rank","type":"decimal"}`, `f=1.5`},
		{"carry of a truth", `{"from":"carry:new","type":"bool"}`, `f=true`},
		{"carry of null", `{"from":"carry:none","default":"x"}`, `f="x"`},
		{"carry of nothing", `{"from":"carry:other"}`, ``},
		{"regex group 1", `{"css":".instock","regex":"(\\d+) (available)"}`, `f="22"`},
		{"regex group value", `{"css":".instock","regex":"(\\d+) (?P<value>\\w+)"}`, `f="available"`},
		{"regex without a group", `{"css":".instock","regex":"\\d+"}`, `f="22"`},
		{"regex whose group takes no part", `{"css":".instock","regex":"In|(out)"}`, ``},
		{"regex alone reads the page's text", `{"regex":"<title>(.*?)</title>"}`, `f="T"`},
		{"regex alone, list", `{"regex":"<li>\\s*(\\w)","type":"list"}`, `f=["a" "b" "d"]`},
		{"map", `{"css":"p.star-rating@class","map":{"star-rating Two":2},"type":"int"}`, `f=2`},
		{"map: keys are collapsed too", `{"css":"p.star-rating@class","map":{" star-rating  Two":2},"type":"int"}`, `f=2`},
		{"map to null", `{"css":"h1","map":{"The Tilth of Places":null}}`, ``},
		{"not in the map", `{"css":"p.star-rating@class","map":{"star-rating One":1},"type":"int"}`, `!map star-rating Two`},
		{"map of the empty text", `{"css":"p.empty","map":{"":0},"type":"int"}`, `f=0`},
		{"int", `{"css":".instock","regex":"\\d+","type":"int"}`, `f=22`},
		{"not an int", `{"css":".odd","type":"int"}`, `!type on request`},
		{"decimal", `{"jsonld":"$.price","type":"decimal(5,2)"}`, `f=12.5`},
		{"too many digits for the decimal", `{"jsonld":"$.price","type":"decimal(2,1)"}`, `!type 12.50`},
		{"money is two columns", `{"css":".price","type":"money","currency":"GBP"}`, `f_amount=51.77 f_currency="GBP"`},
		{"money in words", `{"css":".odd","type":"money","currency":"GBP"}`, `!type on request`},
		{"no money", `{"css":"h6","type":"money","currency":"GBP"}`, ``},
		{"url against the base element, canonical", `{"css":"a@href","type":"url"}`, `f="http://books.example/x.html?q=2"`},
		{"url of another scheme", `{"css":"a[href^=mailto]@href","type":"url"}`, `!type mailto:me@books.example`},
		{"jsonld of a node in @graph", `{"jsonld":"$.brand.name"}`, `f="Seed bed"`},
		{"jsonld number keeps its digits", `{"jsonld":"$.price"}`, `f="12.50"`},
		{"jsonld truth", `{"jsonld":"$.stock"}`, `f="true"`},
		{"jsonld null", `{"jsonld":"$.nothing"}`, ``},
		{"jsonld array: its first", `{"jsonld":"$.image"}`, `f="a.png"`},
		{"jsonld array in a list", `{"jsonld":"$.image","type":"list"}`, `f=["a.png" "b.png"]`},
		{"jsonld wildcard in the order of names", `{"jsonld":"$.more.*","type":"list"}`, `f=["1" "2" "3"]`},
		{"jsonld descendants, the value's own member first", `{"jsonld":"$..name","type":"list"}`, `f=["Tilth" "Seed bed"]`},
		{"from url", `{"from":"url"}`, `f="http://books.example/catalogue/tilth_1/index.html"`},
		{"from request_url", `{"from":"request_url"}`, `f="http://books.example/old"`},
		{"from host", `{"from":"host"}`, `f="books.example"`},
		{"from path with regex", `{"from":"path","regex":"_(\\d+)/","type":"int"}`, `f=1`},
		{"from status", `{"from":"status","type":"int"}`, `f=200`},
		{"from fetched_at", `{"from":"fetched_at"}`, `f="2026-01-02T03:04:05.250000Z"`},
		{"from header", `{"from":"header:X-SHELF"}`, `f="A 7"`},
		{"from header, all", `{"from":"header:x-shelf","type":"list"}`, `f=["A 7" "B"]`},
		{"from header that is not there", `{"from":"header:Age"}`, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustCompile(t, harrow.Rule{Record: "r", Fields: fields(t, `{"f":`+tt.field+`}`)})
			got := apply(t, p, shopDocument(shopHTML))
			if code, value, ok := strings.Cut(strings.TrimPrefix(tt.want, "!"), " "); strings.HasPrefix(tt.want, "!") && ok {
				if len(got.rows) != 0 || len(got.rejects) != 1 || got.rejects[0].Code != code || got.rejects[0].Value != value {
					t.Fatalf("got rows %q, rejects %+v; want one reject %s of %q", got.rows, got.rejects, code, value)
				}
				return
			}
			if want := strings.TrimSpace("r#1 0 " + tt.want); len(got.rejects) != 0 || len(got.rows) != 1 || got.rows[0] != want {
				t.Errorf("got %q, rejects %+v; want %s", got.rows, got.rejects, want)
			}
		})
	}
}

func TestCompileErrorsNameRuleFieldAndSelector(t *testing.T) {
	for field, want := range map[string]string{
		`{"css":"a["}`:                                `parse[1].fields.f: css "a[": `,
		`{"css":"@"}`:                                 `parse[1].fields.f: css "@": `,
		`{"css":"@id"}`:                               `parse[1].fields.f: css "@id" means the rule's element, and the rule has no each`,
		`{"css":" "}`:                                 `parse[1].fields.f: css: the selector is empty`,
		`{"jsonld":"brand"}`:                          `parse[1].fields.f: jsonld "brand": `,
		`{"css":"a","regex":"("}`:                     `parse[1].fields.f: regex "(": `,
		`{"regex":"("}`:                               `parse[1].fields.f: regex "(": `,
		`{"from":"moon"}`:                             `parse[1].fields.f: from "moon": want url, `,
		`{"from":"carry:"}`:                           `parse[1].fields.f: from "carry:": want url, `,
		`{"column":"a"}`:                              `parse[1].fields.f: column "a" means a row's, and the rule has no rows`,
		`{"any":[{"column":"a"}]}`:                    `parse[1].fields.f: column "a" means a row's, and the rule has no rows`,
		`{"jsonpath":"a"}`:                            `parse[1].fields.f: jsonpath "a": `,
		`{"any":[{"css":"a"},{"css":"a["}]}`:          `parse[1].fields.f: any[1]: css "a[": `,
		`{"any":[{"any":[{"css":"a"}]}]}`:             `parse[1].fields.f: any[0]: any belongs to the field, not to one of its alternatives`,
		`{"any":[{"css":"a","type":"int"}]}`:          `parse[1].fields.f: any[0]: type belongs to the field`,
		`{"any":[{"css":"a","required":true}]}`:       `parse[1].fields.f: any[0]: required belongs to the field`,
		`{"any":[{"css":"a","regex":"("}]}`:           `parse[1].fields.f: any[0]: regex "(": `,
		`{"any":[{}]}`:                                `parse[1].fields.f: any[0]: got 0 selectors`,
		`{"any":[{"css":"@id"}]}`:                     `parse[1].fields.f: css "@id" means the rule's element, and the rule has no each`,
		`{"css":"a","default":1,"type":"date"}`:       `parse[1].fields.f: default: "1": want a date`,
		`{"css":"a","default":" "}`:                   `parse[1].fields.f: default " ": want a text that is not empty`,
		`{"css":"a","type":"date","zone":"CEST"}`:     `parse[1].fields.f: zone "CEST": want an IANA name`,
		`{"css":"a","type":"date","format":"%d"}`:     `parse[1].fields.f: format "%d": want one of %Y and %y`,
		`{"xpath":"//a["}`:                            `parse[1].fields.f: xpath "//a[": at its end: want a step`,
		`{"css":"a","type":"colour"}`:                 `parse[1].fields.f: type "colour": `,
		`{"css":"a","type":"money","currency":"gbp"}`: `parse[1].fields.f: currency "gbp": `,
		`{"css":"a","type":"decimal","decimal":";"}`:  `parse[1].fields.f: decimal separator ";": `,
		`{"css":"a","from":"url"}`:                    `parse[1].fields.f: got 2 selectors (css: a, from: url)`,
		`{}`:                                          `parse[1].fields.f: got 0 selectors`,
		`{"css":"a","type":"money","list":"all"}`:     `parse[1].fields.f: type money: it is two columns, and a list is one`,
		`{"css":"a","type":"list(list)"}`:             `parse[1].fields.f: type "list(list)": `,
		`{"css":"a","map":{"x":"y"},"type":"int"}`:    `parse[1].fields.f: map: "x" to "y": `,
	} {
		rules := []harrow.Rule{{Record: "a", Fields: fields(t, `{"x":{"css":"b"}}`)}, {Record: "r", Fields: fields(t, `{"f":`+field+`}`)}}
		_, err := Compile(rules, typesOf(rules...))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v; want %s…", field, err, want)
		}
	}
	for want, rule := range map[string]harrow.Rule{
		`parse[0].match: pattern "x"`:                   {Record: "r", Match: []string{"x"}},
		`parse[0].each: css "a[": `:                     {Record: "r", Each: "a["},
		`parse[0].use: no extractor is called "nobody"`: {Use: "nobody"},
	} {
		if _, err := Compile([]harrow.Rule{rule}, typesOf(rule)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v; want %s…", err, want)
		}
	}
	rule := harrow.Rule{Record: "r", Fields: fields(t, `{"f":{"css":"a"}}`)}
	if _, err := Compile([]harrow.Rule{rule}, nil); err == nil || !strings.Contains(err.Error(), `no record type is called "r"`) {
		t.Errorf("no types: got %v", err)
	}
	if _, err := Compile([]harrow.Rule{rule}, []harrow.RecordType{{Name: "r"}}); err == nil || !strings.Contains(err.Error(), "no column f of type text") {
		t.Errorf("no column: got %v", err)
	}
}

func TestCheckSelector(t *testing.T) {
	for kind, exprs := range map[string][]string{"css": {"a", "a@href", "@id", ":scope", "a[href*='@x']"}, "jsonld": {"$.a", "$..a[?@.b == 'c']"}, "regex": {"(?i)a"}} {
		for _, expr := range exprs {
			if err := CheckSelector(kind, expr); err != nil {
				t.Errorf("%s %q: %v", kind, expr, err)
			}
		}
	}
	for kind, expr := range map[string]string{"css": "a >", "jsonld": "$[", "regex": "[", "xpath": "//a[", "jsonpath": "a", "column": "a"} {
		if CheckSelector(kind, expr) == nil {
			t.Errorf("%s %q: no error", kind, expr)
		}
	}
	for expr, hint := range map[string]string{"h1 ::text": `an element's text is taken by "h1"`, "a::text": `by "a"`, "a.x::attr(href)": `an attribute is taken by "a.x@href"`} {
		if err := CheckSelector("css", expr); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("css %q: got %v; want the hint %s", expr, err, hint)
		}
	}
}
