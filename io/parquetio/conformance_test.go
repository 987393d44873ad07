package parquetio

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/sinktest"
)

func TestTheSinkIsOne(t *testing.T) {
	sinktest.Run(t, func(tb testing.TB) sinktest.Store {
		dir := tb.TempDir()
		config, err := json.Marshal(Config{Path: dir})
		check(tb, err)
		return sinktest.Store{
			History: true,
			Open:    func() (harrow.Sink, error) { return New(config, harrow.SinkEnv{Job: "shop"}) },
			Rows: func(rt harrow.RecordType) (list []map[string]any, err error) {
				for _, f := range visible(tb, dir) {
					if !strings.HasPrefix(f, escape(rt.Name)+"/") {
						continue
					}
					for _, row := range rowsOf(tb, filepath.Join(dir, f)) {
						var values map[string]any
						d := json.NewDecoder(strings.NewReader(row))
						d.UseNumber()
						check(tb, d.Decode(&values))
						list = append(list, values)
					}
				}
				return list, nil
			},
		}
	})
}
