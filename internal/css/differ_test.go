package css

import (
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/html5"
)

// differences from cascadia are all on purpose: what is found here and there, by
// the elements' t attribute, and the standard's line that says so.
var differences = []struct{ because, expr, page, ours, cascadias string }{
	{"Selectors 4, 6.4: names are compared by the document language's rules; HTML 4.16.2: those that aren't in HTML as written",
		"linearGradient", `<svg><linearGradient t=1 />`, "1", ""},
	{"the same", "[viewBox]", `<svg viewBox=x t=1>`, "1", ""},
	{"the same", "[CLASS]", `<svg class=x t=1>`, "", "1"},
	{"Selectors 4, 6.4: a name without prefix is in no namespace", "[href]", `<svg><a xlink:href=x t=1>`, "", "1"},
	{"Selectors 4, 6.1: what is empty or has white space in it is no word", "[a~='']", `<p a="x  y" t=1>`, "", "1"},
	{"Selectors 4, 6.2: the empty string begins nothing", "[a^='']", `<p a=x t=1>`, "", "1"},
	{"the same", "[a$='']", `<p a=x t=1>`, "", "1"},
	{"the same", "[a*='']", `<p a=x t=1>`, "", "1"},
	{"Selectors 4, 6.2: white space is characters like others", "[a^=' ']", `<p a=" " t=1>`, "1", ""},
	{"the same", "[a$=' ']", `<p a=" " t=1>`, "1", ""},
	{"the same", "[a*=' ']", `<p a=" " t=1>`, "1", ""},
	{"Selectors 4, 6.3: i is about ASCII letters", "[a='Ä' i]", `<p a=ä t=1>`, "", "1"},
	{"HTML 4.16.2: attributes whose values are compared without regard to case", "[rel=next]", `<a rel=NEXT t=1>`, "1", ""},
	{"the same", "[type!=text]", `<input type=TEXT t=1>`, "", "1"},
	{"Selectors 4, 6.6 and 6.7: in quirks mode classes and ids have no case", ".a", `<!DOCTYPE x><p class=A t=1>`, "1", ""},
	{"the same", "#a", `<!DOCTYPE x><p id=A t=1>`, "1", ""},
	{"Selectors 4, :empty: empty but for document white space", "p:empty", "<p t=1>&nbsp;</p><p t=2> </p>", "2", "12"},
	{"Selectors 4, 4.5: what :has looks for begins at the element", "p:has(div b)", "<div><p t=1><b>x</b></p>", "", "1"},
	{"Selectors 4, 7.2: the language is that which is nearest", "[t]:lang(en)", `<p lang=en t=1><b lang=de t=2></b><b lang=en-GB t=3>`, "13", "123"},
	{"RFC 4647, 3.3.2: letters have no case, subtags may be left out", "[t]:lang(de-DE)", `<p lang=DE-Latn-de t=1>`, "1", ""},
	{"HTML 4.16.3: only a and area are links", "[t]:link", `<link href=x t=1><a href=x t=2>`, "2", "12"},
	{"HTML 4.16.3: only what can be disabled is enabled", "[t]:enabled", `<a href=x t=1>x</a><input t=2>`, "2", "12"},
	{"HTML 4.10.15: a fieldset disables those in it", "fieldset:disabled", `<fieldset disabled t=1><fieldset t=2>`, "12", "1"},
	{"HTML 4.10.10: an optgroup disables its options", "option:disabled", `<select><optgroup disabled><option t=1>`, "1", ""},
	{"HTML 4.10.10: a fieldset doesn't disable options", "option:disabled", `<fieldset disabled><select><option t=1>`, "", "1"},
	{"HTML 4.16.3: a menuitem isn't checked", ":checked", `<menuitem type=radio checked t=1>`, "", "1"},
	{"Selectors 4, 2: only elements match", ":contains('') > html", `<html t=1>`, "", "1"},
	{"CSS Syntax 3, 4.3.7: an escaped NUL is U+FFFD", `[a="\0"]`, "<p a=\uFFFD t=1>", "1", ""},
}

func TestDifferencesFromCascadiaAreTheStandards(t *testing.T) {
	var parser html5.Parser
	for _, d := range differences {
		page := d.page
		if !strings.HasPrefix(page, "<!") {
			page = "<!DOCTYPE html>" + page
		}
		var tree dom.Tree
		if err := parser.Parse(&tree, []byte(page)); err != nil {
			t.Fatal(err)
		}
		m := matcherOf(t, []string{d.expr})
		if err := m.Run(&tree, wantAll(1)); err != nil {
			t.Fatal(err)
		}
		if got := marks(&tree, m.All(0)); got != d.ours {
			t.Errorf("%q (%s): got %q, want %q", d.expr, d.because, got, d.ours)
		}
		other, root, err := domtest.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		if got := marks(other, oracle(t, root, d.expr)); got != d.cascadias {
			t.Errorf("%q (%s): cascadia finds %q, not %q", d.expr, d.because, got, d.cascadias)
		}
	}
}

// marks are the values of elements' t attribute.
func marks(tree *dom.Tree, found []dom.ID) (all string) {
	number, _ := tree.Lookup("t")
	for _, n := range found {
		value, _ := tree.Attr(n, number)
		all += value
	}
	return all
}

// beyond are selectors that are taken here and not by cascadia.
var beyond = map[string]string{
	":is(p, div > b)":                  "Selectors 4, 4.2",
	":where(p)":                        "Selectors 4, 4.4",
	"p:has(> b)":                       "Selectors 4, 4.5: relative selectors",
	"p:has(+ b, ~ b)":                  "the same",
	"[a=b s]":                          "Selectors 4, 6.3",
	"*|*":                              "Selectors 4, 5.2; cascadia takes it but at the end",
	":matches()":                       "an empty regular expression, which cascadia takes but at the end",
	"[a#=]":                            "the same",
	":nth-child(99999999999999999999)": "CSS Syntax 3: numbers have no end",
}

func TestSelectorsBeyondCascadia(t *testing.T) {
	for expr, because := range beyond {
		if _, err := Compile(expr); err != nil {
			t.Errorf("%q (%s): %v", expr, because, err)
		}
		if _, err := cascadia.ParseGroup(expr); err == nil {
			t.Errorf("%q: cascadia takes it too", expr)
		}
	}
}

func TestSelectorsMeanWhatTheStandardSays(t *testing.T) {
	tests := []struct{ expr, page, want string }{
		{":is(p, div > b)[t]", "<p t=1><b t=2></b></p><div><b t=3>", "13"},
		{":where(.a .b, i):not(:is(.c *))[t]", "<div class=a><b class=b t=1></b><i t=2></i></div><div class='a c'><b class=b t=3>", "12"},
		{"[t]:has(> b)", "<div t=1><p t=2><b>", "2"},
		{"[t]:has(+ b)", "<i t=1></i><!-- -->x<b t=2></b><i t=3></i><i></i><b>", "1"},
		{"[t]:has(~ b)", "<i t=1></i><i t=2></i><b t=3></b><i t=4></i>", "12"},
		{"[t]:has(> i + b i)", "<p t=1><i></i><b><u><i></i></u></b></p><p t=2><i></i><b></b><i>", "1"},
		{"[t]:has(i ~ b > u)", "<p t=1><i></i><s></s><b><u></u></b></p><p t=2><s><b><u></u></b><i></i></s>", "1"},
		{"[t]:has(:not(i b))", "<p t=1><i><b></b></i></p><p t=2><b>", "12"},
		{"p:has(b:not(i b))", "<p t=1><i><b></b></i></p><p t=2><b>", "2"},
		{"p:has(b:has(i), u ~ u)", "<p t=1><b><s><i></i></s></b></p><p t=2><b></b><p t=3><u></u><u></u>", "13"},
		{"[rel=next s]", "<a rel=NEXT t=1></a><a rel=next t=2>", "2"},
		{"[title='a\\\r\nb\\\fc\\\nd']", "<p title=abcd t=1>", "1"},
		{"*|*[t]", "<p t=1>", "1"},
		{"p:matches()", "<p t=1>", "1"},
		{"p:nth-child(-n+99999999999999999999)", "<p t=1>", "1"},
		{"[t]:lang(zh-TW)", "<p lang=zh-Hant-TW t=1></p><p lang=zh-x-TW t=2></p><p lang=zh t=3></p><p lang=zh-TW-a t=4></p><p lang t=5>", "14"},
		{"[t]:lang(en)", "<p lang='' t=1></p><p xml:lang=en t=2></p><svg xml:lang=en lang=de t=3>", "3"},
		// What is decoded for one check isn't what another one goes through.
		{".a[title=x], .c", "<p class='&#97; &#98; &#99;' title='&#120;xxxx' t=1>", "1"},
		{"#ab, #ab[title=x]", "<p id='&#97;b' title='&#120;x' t=1>", "1"},
		{"input:disabled", "<fieldset disabled><legend><input t=1></legend><legend><input t=2></legend><p><input t=3></p><input t=4>", "234"},
	}
	var parser html5.Parser
	for _, test := range tests {
		var tree dom.Tree
		if err := parser.Parse(&tree, []byte("<!DOCTYPE html>"+test.page)); err != nil {
			t.Fatal(err)
		}
		m := matcherOf(t, []string{test.expr})
		if err := m.Run(&tree, wantAll(1)); err != nil {
			t.Fatal(err)
		}
		if got := marks(&tree, m.All(0)); got != test.want {
			t.Errorf("%q in %s: got %q, want %q", test.expr, test.page, got, test.want)
		}
	}
}

// XML's names are compared in lower case (see dom.Tree.Own), and what HTML says
// of attributes isn't said of XML's.
func TestNamesOfXMLHaveNoCase(t *testing.T) {
	var tree dom.Tree
	tree.Reset([]byte("itemhreflangEN"))
	add := func(parent dom.ID, n dom.Node) dom.ID {
		id := tree.New(n)
		tree.Append(parent, id)
		return id
	}
	tree.Attrs = append(tree.Attrs,
		dom.Attr{Name: tree.Intern(4, 8, 0), Space: dom.XML}, dom.Attr{Name: tree.Intern(8, 12, 0), A: 12, B: 14, Space: dom.XML})
	add(add(dom.Root, dom.Node{Kind: dom.Element, Space: dom.XML, Name: tree.Intern(0, 4, 0)}), dom.Node{Kind: dom.Element, Space: dom.XML, Name: tree.Intern(0, 4, 0), A: 0, B: 2})
	tree.Own = make([]dom.Name, tree.Len())
	tree.Finish()
	for expr, want := range map[string][]dom.ID{"ITEM": {1, 2}, "Item > iTEM": {2}, "[HREF]": {2}, "[lang=en]": nil, "[lang=EN]": {2}, ":lang(en)": {2}, "item:nth-of-type(1)": {1, 2}} {
		m := matcherOf(t, []string{expr})
		if err := m.Run(&tree, wantAll(1)); err != nil || !slices.Equal(m.All(0), want) {
			t.Errorf("%q: got %v, want %v (%v)", expr, m.All(0), want, err)
		}
	}
}
