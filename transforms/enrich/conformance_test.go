package enrich

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow/harrowtest/operatortest"
)

func TestTheOperatorIsOne(t *testing.T) {
	dir := t.TempDir()
	w := newWorkbench(t, dir, nil)
	path := filepath.Join(dir, "f.csv")
	if err := os.WriteFile(path, []byte("code,number,rate,word\na,1,0.5,one\nb,1,much,two\nc,2,2,\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := w.config(t.Context(), path, itemEntry)
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	operatortest.Run(t, operatortest.Case{Operator: Operator, Config: config, Record: item, Lake: w.lake, Out: 6, Rows: []map[string]any{
		{"sku": "a", "n": int64(1), "price": decimal.New(10, 0)},
		{"sku": "b", "n": int64(1), "price": decimal.New(10, 0)}, // its rate is no number: a reject
		{"sku": "c", "n": int64(2), "price": decimal.New(5, -1)},
		{"sku": "nowhere", "n": int64(1), "price": decimal.New(1, 0)},
		{"sku": nil, "n": int64(1)},
		{"sku": "a", "n": int64(1), "price": decimal.New(3, 0)},
	}})
}
