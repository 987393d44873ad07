package normal

import (
	"encoding/json"
	"math"
	"testing"
)

func TestJSONHasOneForm(t *testing.T) {
	v := map[string]any{"z": json.Number("1.10"), "a": "<\u00e4>\"\n", "b": []any{nil, true}, "r": json.RawMessage(` [1,  2.0] `)}
	if got, err := JSON(v); err != nil || got != `{"a":"<ä>\"\n","b":[null,true],"r":[1,2.0],"z":1.10}` {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := JSON(math.NaN()); err == nil {
		t.Errorf("not a number is %s", got)
	}
}
