package harrow_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/harrowdata/harrow"
)

func TestReadConfigNamesTheKeyThatIsWrong(t *testing.T) {
	type inner struct {
		Deep int `json:"deep"`
	}
	type config struct {
		Text   string   `json:"text"`
		Number int      `json:"number,omitempty"`
		Ratio  float64  `json:"ratio"`
		On     bool     `json:"on"`
		List   []string `json:"list"`
		Inner  inner    `json:"inner"`
		Hidden string   `json:"-"`
	}
	const keys = "text, number, ratio, on, list, inner"
	for _, c := range []struct{ config, key, want string }{
		{`{"number": "5"}`, "number", "got string; expected a whole number"},
		{`{"number": 1.5}`, "number", "got number 1.5; expected a whole number"},
		{`{"text": 5}`, "text", "got number; expected text"},
		{`{"ratio": []}`, "ratio", "got array; expected a number"},
		{`{"on": "yes"}`, "on", "got string; expected true or false"},
		{`{"list": "a"}`, "list", "got string; expected a list"},
		{`{"inner": 1}`, "inner", "got number; expected a mapping"},
		{`{"inner": {"deep": true}}`, "inner.deep", "got bool; expected a whole number"},
		{`{"numbr": 5}`, "numbr", "unknown key; expected " + keys},
		{`{"Hidden": "x"}`, "Hidden", "unknown key; expected " + keys},
		{`{"a \"b\"": 5}`, `a "b"`, "unknown key; expected " + keys},
		{`[1]`, "", "got array; expected a mapping of " + keys},
		{`{`, "", "config: unexpected EOF; expected a mapping of " + keys},
	} {
		var got config
		err := harrow.ReadConfig(json.RawMessage(c.config), &got)
		if err == nil {
			t.Errorf("%s: no error", c.config)
			continue
		}
		wrong, want := (*harrow.ConfigError)(nil), c.want
		if errors.As(err, &wrong) != (c.key != "") || wrong != nil && wrong.Key != c.key {
			t.Errorf("%s: got %#v, want one about the key %q", c.config, err, c.key)
		}
		if c.key != "" {
			want = c.key + ": " + want
		}
		if err.Error() != want {
			t.Errorf("%s:\n got %s\nwant %s", c.config, err, want)
		}
	}
}

func TestReadConfigLeavesDefaults(t *testing.T) {
	for _, text := range []string{"", " \n", "null", "{}", `{"other": 2}`} {
		got := struct {
			Size  int `json:"size"`
			Other int `json:"other"`
		}{Size: 7}
		if err := harrow.ReadConfig(json.RawMessage(text), &got); err != nil || got.Size != 7 {
			t.Errorf("%q: got %+v, %v; want size 7", text, got, err)
		}
	}
}
