package html

import (
	"bytes"
	"slices"
	"testing"

	"github.com/harrowdata/harrow/soak/rig"
)

// minimise makes a page smaller for as long as it still fails: first by tags
// and texts, then by bytes (delta debugging, Zeller 2002). It tries a bounded
// number of pages.
func minimise(text []byte, fails func([]byte) bool) []byte {
	tries := 4000
	try := func(parts [][]byte) bool {
		tries--
		return tries >= 0 && fails(slices.Concat(parts...))
	}
	parts := reduce(cut(text), try)
	var each [][]byte
	for _, r := range string(slices.Concat(parts...)) {
		each = append(each, []byte(string(r)))
	}
	return slices.Concat(reduce(each, try)...)
}

// cut cuts a page before each < and after each >.
func cut(text []byte) (parts [][]byte) {
	for len(text) > 0 {
		end := bytes.IndexByte(text[1:], '<') + 1
		if end == 0 {
			end = len(text)
		}
		if i := bytes.IndexByte(text[:end], '>'); i >= 0 {
			end = i + 1
		}
		parts, text = append(parts, text[:end]), text[end:]
	}
	return parts
}

// reduce leaves out runs of parts, long ones first, until none can be.
func reduce(parts [][]byte, fails func([][]byte) bool) [][]byte {
	for size := len(parts) / 2; size >= 1; {
		smaller := false
		for from := 0; from < len(parts); {
			without := slices.Concat(parts[:from], parts[min(from+size, len(parts)):])
			if fails(without) {
				parts, smaller = without, true
			} else {
				from += size
			}
		}
		if !smaller || size > len(parts) {
			size /= 2
		}
	}
	return parts
}

func TestAFailingPageIsMadeAsSmallAsCanBe(t *testing.T) {
	g := &maker{Rand: rig.Random(1, 0)}
	g.news()
	g.WriteString("<p><b needle>x</b></p>")
	g.news()
	fails := func(text []byte) bool {
		return bytes.Contains(text, []byte("<b need")) && bytes.Contains(text, []byte("x<"))
	}
	if got := string(minimise(g.Bytes(), fails)); got != "<b needx<" {
		t.Errorf("got %q", got)
	}
}
