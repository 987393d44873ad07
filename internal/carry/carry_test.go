package carry

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestOverlay(t *testing.T) {
	for _, c := range []struct{ name, below, above, want string }{
		{"nothing", "", "", ""},
		{"above alone", "", `{"a":1}`, `{"a":1}`},
		{"below alone", `{"a":1}`, "", `{"a":1}`},
		{"both", `{"b":1.10,"a":"x"}`, `{"c":true}`, `{"a":"x","b":1.10,"c":true}`},
		{"above wins", `{"a":1}`, `{"a":"<2>"}`, `{"a":"<2>"}`},
		{"null wins too", `{"a":1,"b":2}`, `{"a":null}`, `{"a":null,"b":2}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := Overlay(c.below, c.above); got != c.want || err != nil {
				t.Errorf("%q over %q is %q, %v; want %q", c.above, c.below, got, err, c.want)
			}
		})
	}
	if got, err := Overlay(`{"a":1}`, `[1]`); err == nil {
		t.Errorf("a list was laid over an object: %q", got)
	}
}

// Laying the same over it again changes nothing, and every column of both is
// there with the value that counts.
func TestOverlayHoldsTheColumnsOfBoth(t *testing.T) {
	columns := rapid.MapOf(rapid.StringMatching(`[a-f]{0,2}`), rapid.SampledFrom([]json.RawMessage{[]byte(`null`), []byte(`1.50`), []byte(`"x<"`), []byte(`true`)}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := columns.Draw(t, "below"), columns.Draw(t, "above")
		below, err := Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		above, err := Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Overlay(below, above)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range b {
			a[name] = v
		}
		if want, err := Encode(a); got != want || err != nil {
			t.Fatalf("got %s; want %s (%v)", got, want, err)
		}
		if again, err := Overlay(got, above); again != got || err != nil {
			t.Fatalf("again: %s, %v; want %s", again, err, got)
		}
	})
}
