package html5

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/dom"
)

// others are where golang.org/x/net/html does otherwise than the standard says:
// pages that match are not compared.
var others = []struct {
	name string
	page *regexp.Regexp
}{
	{"13.2.5.7: </> is nothing at all; theirs is a comment", regexp.MustCompile(`</>`)},
	{"13.2.6.4.7: only a newline that is the next token is ignored; theirs is also behind an ignored tag", regexp.MustCompile(`<pre><[^p]`)},
	{"13.2.6.4.20: a tag that a frameset ignores leaves the tokenizer as it is; theirs reads raw text", regexp.MustCompile(`<frameset`)},
	{"13.2.6.1: a text is added to the one before it; theirs is another in a template", regexp.MustCompile(`<template>`)},
	{"13.2.6.4.11: a caption in table scope is closed, though an object is open in it; theirs stays open", regexp.MustCompile(`<caption>.*<(object|marquee)`)},
	{"4.10.17: selectedcontent mirrors the selected option; theirs is empty", regexp.MustCompile(`<selectedcontent>`)},
}

func TestRandomPagesAreAsXNetHasThem(t *testing.T) {
	tags := append([]string{
		"<rt>", "<ruby>", "<rp>", "<rb>", "<rtc>", "<hr>", "<input type=hidden>", "<input>", "<br>", "</br>", "<dd>", "<dt>", "</dd>",
		"<optgroup>", "<address>", "</address>", "<tbody>", "</tbody>", "</tr>", "</td>", "<th>", "<thead>", "<title>", "</title>",
		"<style>", "</style>", "<noscript>", "</noscript>", "<iframe>", "</iframe>", "<font size=1>", "<font>", "</font>", "<mglyph>",
		"<annotation-xml encoding=text/html>", "</math>", "</desc>", "<g/>", "<head>", "</head>", "<meta>", "<frame>", "<noframes>",
		"</noframes>", "</frameset>", "<plaintext>", "</li>", "</h1>", "<image>", "<marquee>", "</marquee>", "</caption>", "<colgroup>",
		"</colgroup>", "<em>", "</em>", "<span>", "</span>", "<![CDATA[x]]>", "</button>", "</option>",
	}, fragments...)
	r := rand.New(rand.NewPCG(8, 8))
	var p Parser
	var tree dom.Tree
	compared := 0
pages:
	for range 20_000 {
		var b strings.Builder
		for range 1 + r.IntN(12) {
			b.WriteString(tags[r.IntN(len(tags))])
		}
		page := b.String()
		for _, o := range others {
			if o.page.MatchString(page) {
				continue pages
			}
		}
		root, err := html.Parse(strings.NewReader(page))
		if err != nil {
			continue
		}
		compared++
		if err := p.Parse(&tree, []byte(page)); err != nil {
			t.Fatal(err)
		}
		if got, want := dump(&tree), netTree(root); got != want {
			t.Errorf("%q is\n%s\nwant\n%s", page, got, want)
		}
	}
	if compared < 10_000 {
		t.Errorf("only %d pages were compared", compared)
	}
}
