package rowdata

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// table is rows of data as they are found: numbers, dates, words, some of
// them in quotes.
func table(line func(b *bytes.Buffer, i int)) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 8<<20; i++ {
		line(&b, i)
	}
	return b.Bytes()
}

func csvTable(quotes bool) []byte {
	text := "id,day,name,city,amount,note\n"
	return append([]byte(text), table(func(b *bytes.Buffer, i int) {
		note := strings.Repeat("some words ", i%9)
		if quotes {
			note = `"` + note + `, and ""more"""`
		}
		fmt.Fprintf(b, "%d,2026-01-%02d,Name %d,City %d,%d.%02d,%s\n", i, 1+i%28, i, i%500, i, i%100, note)
	})...)
}

func jsonTable() []byte {
	return table(func(b *bytes.Buffer, i int) {
		fmt.Fprintf(b, `{"id":%d,"day":"2026-01-%02d","name":"Name %d","place":{"city":"City %d","at":[%d.5,2]},"amount":%d.%02d,"note":"%s"}`+"\n",
			i, 1+i%28, i, i%500, i%90, i, i%100, strings.Repeat("some words ", i%9))
	})
}

// all reads all rows and returns how many there are.
func all(b *testing.B, r Reader) (n int) {
	b.Helper()
	for {
		_, err := r.Next()
		if err == io.EOF {
			return n
		}
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func measure(b *testing.B, text []byte, read func(io.Reader) int) {
	b.Helper()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if n := read(bytes.NewReader(text)); n < 1000 {
			b.Fatalf("%d rows", n)
		}
	}
}

func BenchmarkCSV(b *testing.B) {
	for name, quotes := range map[string]bool{"plain": false, "quotes": true} {
		text := csvTable(quotes)
		b.Run(name, func(b *testing.B) {
			measure(b, text, func(r io.Reader) int { return all(b, NewCSV(r, []string{"id"}, false, Limits{})) })
		})
		b.Run(name+" by encoding/csv", func(b *testing.B) {
			measure(b, text, func(r io.Reader) (n int) {
				c := csv.NewReader(r)
				c.LazyQuotes, c.ReuseRecord = true, true
				for {
					if _, err := c.Read(); err == io.EOF {
						return n
					} else if err != nil {
						b.Fatal(err)
					}
					n++
				}
			})
		})
	}
}

func byEncodingJSON(b *testing.B, d *json.Decoder, more func() bool) (n int) {
	b.Helper()
	d.UseNumber()
	for more() {
		var v any
		if err := d.Decode(&v); err == io.EOF {
			return n
		} else if err != nil {
			b.Fatal(err)
		}
		n++
	}
	return n
}

func BenchmarkJSONLines(b *testing.B) {
	text := jsonTable()
	b.Run("ours", func(b *testing.B) {
		measure(b, text, func(r io.Reader) int { return all(b, NewJSONLines(r, Limits{})) })
	})
	b.Run("by encoding/json", func(b *testing.B) {
		measure(b, text, func(r io.Reader) int {
			return byEncodingJSON(b, json.NewDecoder(r), func() bool { return true })
		})
	})
}

func BenchmarkJSON(b *testing.B) {
	rows := bytes.ReplaceAll(bytes.TrimSpace(jsonTable()), []byte("\n"), []byte(",\n"))
	text := []byte(`{"items":[` + string(rows) + `]}`)
	for name, path := range map[string]string{"all rows": "$.items[*]", "every tenth row": "$.items[::10]"} {
		p, err := CompilePath(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			measure(b, text, func(r io.Reader) int { return all(b, p.NewReader(r, Limits{})) })
		})
	}
	b.Run("by encoding/json", func(b *testing.B) {
		measure(b, text, func(r io.Reader) int {
			d := json.NewDecoder(r)
			for range 3 { // {, items, [
				if _, err := d.Token(); err != nil {
					b.Fatal(err)
				}
			}
			return byEncodingJSON(b, d, d.More)
		})
	})
}
