package discover

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSeedFilesByTheirEnding(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		seeds            []string
		bad              []int  // lines
		fails            string // in the error
	}{
		{"one URL a line", "a.txt", "http://a.example/\n\n# a comment\n  http://b.example/  \r\nhttp://c.example/", []string{"http://a.example/", "http://b.example/", "http://c.example/"}, nil, ""},
		{"a byte order mark", "a.txt", "\ufeffhttp://a.example/\n", []string{"http://a.example/"}, nil, ""},
		{"an empty file", "a.txt", "", nil, nil, ""},
		{"what is no URL is told later", "a.txt", "no url\n", []string{"no url"}, nil, ""},
		{"a line that never ends", "a.txt", strings.Repeat("x", 3*maxLine) + "\nhttp://a.example/\n", []string{"http://a.example/"}, []int{1}, ""},
		{"csv", "a.CSV", "url\nhttp://a.example/\n\"http://b.example/,1\"\n", []string{"http://a.example/", "http://b.example/,1"}, nil, ""},
		{"csv without a url in a row", "a.csv", "url\nhttp://a.example/\n\"\"\n", []string{"http://a.example/"}, []int{3}, ""},
		{"csv without the column", "a.csv", "link\nx\n", nil, nil, "want one called url"},
		{"csv with more columns", "a.csv", "url,category\nx,y\n", nil, nil, "not supported yet"},
		{"an empty csv", "a.csv", "", nil, nil, "want a header"},
		{"jsonl", "a.jsonl", "{\"url\": \"http://a.example/\"}\n\n{\"url\": 1}\nnot json\n", []string{"http://a.example/"}, []int{3, 4}, ""},
		{"jsonl with more fields", "a.jsonl", "{\"url\": \"x\", \"method\": \"POST\"}\n", nil, nil, "method is not supported yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seeds []string
			var bad []int
			err := EachSeed(t.Context(), c.file, strings.NewReader(c.text),
				func(url string) error { seeds = append(seeds, url); return nil },
				func(line int, _, _ string) error { bad = append(bad, line); return nil })
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), c.file) {
					t.Fatalf("error %v, want %q and the file's name", err, c.fails)
				}
				return
			}
			if err != nil || !slices.Equal(seeds, c.seeds) || fmt.Sprint(bad) != fmt.Sprint(c.bad) {
				t.Errorf("seeds %q, bad lines %v, error %v; want %q, %v", seeds, bad, err, c.seeds, c.bad)
			}
		})
	}
}

func TestAnErrorOfTheTakerEndsTheReading(t *testing.T) {
	stop := errors.New("enough")
	for _, file := range []string{"a.txt", "a.csv", "a.jsonl"} {
		text := map[string]string{"a.txt": "x\ny\n", "a.csv": "url\nx\ny\n", "a.jsonl": "{\"url\":\"x\"}\n{\"url\":\"y\"}\n"}[file]
		n := 0
		err := EachSeed(t.Context(), file, strings.NewReader(text), func(string) error { n++; return stop }, nil)
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("%s: %d seeds, error %v", file, n, err)
		}
	}
}
