package robots

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/memory/memorytest"
)

// What is written of a group and read again decides as the group does.
func TestAGroupDecidesTheSameAfterItsText(t *testing.T) {
	piece := rapid.SampledFrom([]string{"/", "a", "b", "*", "$", "%2F", "%24", "%c3%a9", "é", "?x=", " ", "\x00", "\xff", "#"})
	path := rapid.Custom(func(t *rapid.T) string { return "/" + strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "path"), "") })
	rapid.Check(t, func(t *rapid.T) {
		var file strings.Builder
		file.WriteString("User-agent: *\nCrawl-delay: 5\n")
		for range rapid.IntRange(0, 8).Draw(t, "rules") {
			fmt.Fprintf(&file, "%s: %s\n", rapid.SampledFrom([]string{"Allow", "Disallow"}).Draw(t, "verb"), path.Draw(t, "rule"))
		}
		g := Parse([]byte(file.String())).Group("bot")
		again := ReadGroup(g.Text())
		if g.Empty() != again.Empty() {
			t.Fatalf("empty: %v, read again %v", g.Empty(), again.Empty())
		}
		for range 10 {
			asked := path.Draw(t, "asked")
			want, got := g.Decide(asked), again.Decide(asked)
			if want.Allowed != got.Allowed || want.Rule != got.Rule {
				t.Fatalf("%q of %q: %+v, read again %+v", asked, file.String(), want, got)
			}
		}
	})
}

func TestATextThatIsNoneHasNoRules(t *testing.T) {
	for _, text := range []string{"", "\n\n", "a\nd\n"} {
		if g := ReadGroup([]byte(text)); !g.Empty() {
			t.Errorf("%q has rules", text)
		}
	}
}

// A group's size is not less than what it takes, nor much more.
func TestAGroupsSizeIsWhatItTakes(t *testing.T) {
	var file strings.Builder
	file.WriteString("User-agent: *\n")
	for i := range 500 {
		fmt.Fprintf(&file, "Disallow: /a/b%%20c/%d/*.html$\n", i)
	}
	text := Parse([]byte(file.String())).Group("bot").Text()
	groups := make([]*Group, 200)
	before := memorytest.LiveHeap()
	size := int64(0)
	for i := range groups {
		groups[i] = ReadGroup(text)
		size += groups[i].Size()
	}
	takes := memorytest.LiveHeap() - before
	if size < takes*9/10 || size > takes*2 {
		t.Errorf("%d bytes are said to be taken, %d are", size, takes)
	}
	runtime.KeepAlive(groups)
}
