package html

import (
	"regexp"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
)

// selectorRule is why one side alone selects an element.
type selectorRule struct {
	name, section string
	why           string // what cascadia does
	selector      string // of which selectors: a regular expression
	covers        func(t *dom.Tree, id dom.ID) bool
}

func (r *selectorRule) is(selector string, t *dom.Tree, id dom.ID) bool {
	return regexp.MustCompile(r.selector).MatchString(selector) && r.covers(t, id)
}

// explainedSelectors are the elements that Harrow's selectors and cascadia's
// rightly disagree on. internal/css has a test of each on a page of its own.
var explainedSelectors = []selectorRule{
	{
		name: "states are of HTML", section: "HTML 4.16.3: elements of SVG and MathML are neither enabled, disabled, checked nor links",
		why: "goes by names such as fieldset alone", selector: `:(enabled|disabled|checked|link)`,
		covers: foreign,
	},
	{
		name: "links are not enabled", section: "HTML 4.16.3: enabled is what can be disabled; a and area are links, link is none",
		why: "has links among the enabled, and link among the links", selector: `:(enabled|link)`,
		covers: named("a", "area", "link"),
	},
	{
		name: "menuitem is gone", section: "HTML 16.2: menuitem is obsolete and has no states",
		why: "has it enabled and disabled", selector: `:(enabled|disabled|checked)`,
		covers: named("menuitem"),
	},
	{
		name: "disabled by what is around", section: "HTML 4.10.10.5, 4.10.15: a fieldset disables those in it, an optgroup its options, and neither the other's",
		why: "has a fieldset disable options, and no fieldset", selector: `:(enabled|disabled)`,
		covers: named("fieldset", "option"),
	},
	{
		name: "names of foreign attributes", section: "HTML 4.16.2: names are compared as written; Selectors 4, 6.4: a name without prefix is in no namespace",
		why: "compares in lower case, and finds xlink:href as href", selector: `\[`,
		covers: foreign,
	},
	{
		name: "empty values", section: "Selectors 4, 6.2: the empty string begins, ends and is part of nothing",
		why: "finds it in all values", selector: `=""`,
		covers: func(*dom.Tree, dom.ID) bool { return true },
	},
	{
		name: "values without case", section: "HTML 4.16.2: values of type, rel, lang and others are compared without regard to case",
		why: "compares them as they are", selector: `\[(type|rel|lang)`,
		covers: func(t *dom.Tree, id dom.ID) bool {
			return slices.ContainsFunc(t.AttrsOf(id), func(a dom.Attr) bool { return strings.ToLower(t.Value(&a)) != t.Value(&a) })
		},
	},
	{
		name: "quirks", section: "Selectors 4, 6.6 and 6.7: in quirks mode classes and ids have no case",
		why: "knows no quirks mode", selector: `[.#]`,
		covers: func(t *dom.Tree, _ dom.ID) bool { return t.Quirks == dom.FullQuirks },
	},
	{
		name: "white space of empty elements", section: "Selectors 4, 13.3: document white space is ASCII's",
		why: "takes a no-break space for white space", selector: `:empty`,
		covers: func(t *dom.Tree, id dom.ID) bool {
			text := t.TextOf(id, 0)
			return strings.TrimSpace(text) == "" && strings.Trim(text, " \t\n\f\r") != ""
		},
	},
	{
		name: "scope of :has", section: "Selectors 4, 4.5: what :has looks for begins at the element",
		why: "has the ul of div:has(ul a) anywhere above the link", selector: `:has\([^)]* `,
		covers: func(*dom.Tree, dom.ID) bool { return true },
	},
	{
		name: "nearest language", section: "Selectors 4, 7.2; RFC 4647, 3.3.2: the language is that of the nearest lang, and has no case",
		why: "has all that are around", selector: `:lang`,
		covers: func(*dom.Tree, dom.ID) bool { return true },
	},
}

func foreign(t *dom.Tree, id dom.ID) bool { return t.Nodes[id].Space != dom.HTML }

func named(names ...string) func(*dom.Tree, dom.ID) bool {
	return func(t *dom.Tree, id dom.ID) bool { return slices.Contains(names, t.NameOf(t.Nodes[id].Name)) }
}
