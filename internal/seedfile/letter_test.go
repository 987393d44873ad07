package seedfile

import (
	"reflect"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

func TestASeedComesBackFromItsLetter(t *testing.T) {
	want := Seed{URL: "http://a.example/x", Method: "POST", Headers: []harrow.Header{{Name: "A", Value: "b"}}, Body: []byte("\x00q"), Carry: `{"a":1}`}
	for _, kind := range []string{harrow.KindPage, harrow.KindSitemap} {
		text, err := want.Letter(kind)
		if err != nil {
			t.Fatal(err)
		}
		got, gotKind, err := FromLetter(t.Context(), text)
		if err != nil || gotKind != kind || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %s, %v", text, got, gotKind, err)
		}
	}
	if text, err := (Seed{URL: "x"}).Letter(harrow.KindPage); err != nil || text != `{"url":"x"}` {
		t.Errorf("letter %s, %v", text, err)
	}
}

func TestALineIsReadAgainWhereItMakesSenseAlone(t *testing.T) {
	for _, c := range []struct{ file, line, want, err string }{
		{"a.jsonl", `{"url": " http://a.example/ ", "n": 1}`, "http://a.example/", ""},
		{"a.jsonl", `[]`, "", "want a JSON object"},
		{"a.jsonl", `{"url": 1}`, "", "field url"},
		{"a.jsonl", ` `, "", "no seed"},
		{"a.csv", `x,y`, "", "a line of a.csv can't be read without its file"},
		{"a.txt", `x`, "", "a line of a.txt"},
	} {
		text, err := LineLetter(c.file, c.line)
		if err != nil {
			t.Fatal(err)
		}
		got, kind, err := FromLetter(t.Context(), text)
		if c.err == "" && (err != nil || got.URL != c.want || got.Method != "GET" || kind != harrow.KindPage) ||
			c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "[]", "x", `{}`, `{"url": 1}`, `{"url": "x", "kind": "robots"}`, `{"url": "x", "method": "CONNECT"}`, `{"line": "x"}`} {
		if got, _, err := FromLetter(t.Context(), text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestWhatASeedAsksFor(t *testing.T) {
	c, err := canon.New(canon.Policy{Strip: []string{"utm_*"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Seed{URL: "HTTP://Www.A.example/?utm_a=1", Method: "GET", Carry: "{}"}.Request(c, harrow.KeyRegisteredDomain, harrow.KindSitemap)
	want := harrow.Request{ID: canon.ID("GET", "http://www.a.example/", nil, nil), URL: "http://www.a.example/", Method: "GET", Key: "a.example", Domain: "a.example",
		Kind: harrow.KindSitemap, Priority: harrow.SitemapPriority, Carry: "{}"}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := (Seed{URL: "no url"}).Request(c, harrow.KeyHost, harrow.KindPage); err == nil {
		t.Error("no URL is a request")
	}
}
