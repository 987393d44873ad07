package extras

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/extractortest"
	"github.com/harrowdata/harrow/harrowtest/operatortest"
	"github.com/harrowdata/harrow/harrowtest/sinktest"
)

const rss = `<rss version="2.0"><channel><title>News</title>
<item><title>One</title><link>http://feeds.example/1</link><pubDate>Fri, 01 Mar 2024 12:00:00 +0100</pubDate><description>Ask ann@feeds.example</description></item>
<item><title>Two</title></item>
</channel></rss>`

var texts = []map[string]any{
	{"title": "One", "summary": "Ask ann@feeds.example or bob@feeds.example"},
	{"title": "Two", "summary": "Ask nobody"},
	{"title": "Three", "summary": ""},
	{"title": "Four"},
}

func TestFeedIsAnExtractor(t *testing.T) {
	extractortest.Run(t, extractortest.Case{Extractor: "feed", Pages: []extractortest.Page{{Body: rss}}})
}

func TestMaskIsAnOperator(t *testing.T) {
	operatortest.Run(t, operatortest.Case{Operator: "mask", Config: json.RawMessage(`{"column": "summary"}`), Record: entryType, Rows: texts, Out: 4})
}

func TestReadingTimeIsAnOperator(t *testing.T) {
	operatortest.Run(t, operatortest.Case{Operator: "reading_time", Record: entryType, Rows: texts, Out: 4})
}

func TestJSONLIsASink(t *testing.T) {
	sinktest.Run(t, func(tb testing.TB) sinktest.Store {
		folder := tb.TempDir()
		env := harrow.SinkEnv{Job: "feeds", Workspace: folder, Dir: folder}
		return sinktest.Store{
			History: true, // every run's rows stay
			Open:    func() (harrow.Sink, error) { return newJSONL(json.RawMessage(`{"path": "out"}`), env) },
			Rows: func(t harrow.RecordType) ([]map[string]any, error) {
				return rowsOf(filepath.Join(folder, "out", t.Name))
			},
		}
	})
}

// rowsOf reads a record's files as another program would.
func rowsOf(folder string) (rows []map[string]any, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "[^.]*.jsonl"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		for {
			var row map[string]any
			if err := d.Decode(&row); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}
