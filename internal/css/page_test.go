package css

import (
	"math/rand/v2"
	"strings"
)

// maker writes small pages of what selectors look at.
type maker struct {
	r *rand.Rand
	b strings.Builder
}

// makePage makes a page of up to about n elements.
func makePage(seed uint64, n int) string {
	m := &maker{r: rand.New(rand.NewPCG(seed, 1))}
	if seed%4 != 0 {
		m.b.WriteString("<!DOCTYPE html>")
	}
	m.b.WriteString("<title>A Page</title><link rel=stylesheet href=x><body>")
	for left := n; left > 0; {
		m.element(&left, 0)
	}
	return m.b.String()
}

func (m *maker) one(of ...string) string { return of[m.r.IntN(len(of))] }

func (m *maker) element(left *int, depth int) {
	*left--
	tag := m.one("div", "div", "div", "p", "span", "b", "ul", "li", "a", "section", "h1", "h2", "table", "fieldset", "form", "my-own")
	switch m.r.IntN(12) {
	case 0:
		m.b.WriteString(m.one("<br>", "<img src=a.png>", "<hr class=a>", `<input type=text name=q>`, `<INPUT type=checkbox checked>`, `<input type="Radio" checked>`, `<input disabled>`,
			`<button>x</button>`, `<button disabled>y</button>`, `<select disabled><option selected>1<option>2</select>`, `<textarea></textarea>`, `<legend><input></legend>`))
		return
	case 1:
		m.b.WriteString(m.one("<svg viewBox='0 0 1 1'><a class=a /><circle class='a b'/><linearGradient id=g /></svg>", "<math><mi class=b>x</mi></math>", "<template><p class=a>x</p></template>"))
		return
	}
	m.b.WriteString("<" + tag)
	for _, a := range []string{"class", "id", "title", "data-x", "lang", "href", "rel", "disabled", "my-attr"} {
		if m.r.IntN(4) == 0 {
			m.b.WriteString(" " + a + "=" + m.value(a))
		}
	}
	m.b.WriteString(">")
	for range m.r.IntN(5) {
		switch {
		case m.r.IntN(3) == 0:
			m.b.WriteString(m.one("x", "The UPC ", "upc", "12 in stock", "&amp;amp;", "  ", "\n\t", "<!-- c -->", "&nbsp;", "ÄRGER ", "Straße", "İx"))
		case *left > 0 && depth < 8:
			m.element(left, depth+1)
		}
	}
	if m.r.IntN(5) > 0 {
		m.b.WriteString("</" + tag + ">")
	}
}

func (m *maker) value(a string) string {
	switch a {
	case "class":
		return `"` + strings.Join([]string{m.one("a", "b", "c", "A"), m.one("b", "c", "d-e", "a", "é"), m.one("", "a", "x1")}, m.one(" ", "  ", "\t", " \n ", "&#32;")) + `"`
	case "id":
		return m.one("a", "b", "one", "two", "B", "&#97;")
	case "lang":
		return m.one("en", "en-GB", "de", "de-Latn-DE", `""`)
	case "rel":
		return m.one("next", "NEXT", "'nofollow next'")
	}
	return m.one(`"a"`, "b", "'a b'", "a-b", "abc", "''", "' '", "A", `"x&amp;y"`, "'&#97;bc&#100; b'", "12", "'é a'")
}
