package rowdata

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/suites"
)

func csvReader(l Limits, columns ...string) func(io.Reader) Reader {
	return func(r io.Reader) Reader { return NewCSV(r, columns, false, l) }
}

func TestCSVAsItComes(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "a,b\n1,2\n", "1|2\n"},
		{"no line end at the end", "a,b\n1,2", "1|2\n"},
		{"empty cell at the end", "a,b\n1,", "1|\n"},
		{"CRLF", "a,b\r\n1,2\r\n3,4\r\n", "1|2\n3|4\n"},
		{"CR alone", "a,b\r1,2\r3,4", "1|2\n3|4\n"},
		{"line ends in quotes are kept", "a,b\r\n\"x\r\ny\",\"x\ny\"\r\n", "x\r\ny|x\ny\n"},
		{"doubled quotes", "a\n\"say \"\"hi\"\"\"\n\"\"\"\"\n\"\"\n", "say \"hi\"\n\"\n\n"},
		{"quotes in plain cells", "a,b\n5\" disk,6'\n", "5\" disk|6'\n"},
		{"quotes that were not doubled", "a,b\n\"say \"hi\" to\",2\n", "say \"hi\" to|2\n"},
		{"empty lines", "\n\r\na,b\n\n1,2\n\r\n3,4\n\n", "1|2\n3|4\n"},
		{"empty cells are no empty line", "a,b\n,\n\"\",\"\"\n", "|\n|\n"},
		{"too few cells", "a,b\n1\n1,2\n", "! row 2 \"1\"\n1|2\n"},
		{"too many cells", "a,b\n1,2,3\n1,2\n", "! row 2 \"1,2,3\"\n1|2\n"},
		{"empty ones too many", "a,b,\n1,2,\n1,2,,,\n", "1|2\n1|2\n"},
		{"not UTF-8", "a,b\n1,\xff\n1,2\n", "! encoding 2 \"1,\\xff\"\n1|2\n"},
		{"NUL is a character", "a,b\n1,\x00\n", "1|\x00\n"},
		{"a quote never closed costs its line", "a,b\n1,\"x\n2,y\n3,z\n", "! row 2 \"1,\\\"x\"\n2|y\n3|z\n"},
		{"a quote never closed in the last line", "a,b\n1,2\n3,\"x", "1|2\n! row 3 \"3,\\\"x\"\n"},
		{"lines are counted in quotes too", "a,b\n\"1\n1\r\n1\",2\n3\n", "1\n1\r\n1|2\n! row 5 \"3\"\n"},
		{"nothing but names", "a,b\n", ""},
		{"no file", "", "! columns 1 \"\"\n"},
		{"empty lines only", "\n\n", "! columns 3 \"\"\n"},
		{"the first line is open", "\"a\n1\n", "! columns 1 \"\\\"a\"\n"},
		{"the first line is not UTF-8", "a,\xff\n", "! encoding 1 \"a,\\xff\"\n"},
	} {
		t.Run(test.name, func(t *testing.T) { everyWay(t, test.text, test.want, csvReader(Limits{})) })
	}
}

func TestDelimiterIsFoundInTheFirstLine(t *testing.T) {
	for _, test := range []struct {
		name, text string
		columns    []string
		want       string
	}{
		{"comma", "a,b\n1;1,2\n", []string{"b"}, "1;1|2\n"},
		{"semicolon", "a;b\n1,1;2\n", []string{"b"}, "1,1|2\n"},
		{"tab", "a\tb\n1,1\t2\n", []string{"b"}, "1,1|2\n"},
		{"columns asked for decide", "a,x;y;z\n1,2;;\n", []string{"x;y;z"}, "1|2;;\n"},
		{"else the most", "a,x;y;z\n1,2;3;4\n", nil, "1,2|3|4\n"},
		{"one column", "a\n1,5\n", []string{"a"}, "! row 2 \"1,5\"\n"},
		{"quoted names", "\"a;b\";\"c,d\"\n1;2\n", []string{"c,d"}, "1|2\n"},
		{"names are trimmed", " a ; b\n1; 2\n", []string{"a", "b"}, "1| 2\n"},
		{"a spreadsheet's word for it", "sep=|\na|b;c;d\n1|2\n", []string{"a"}, "1|2\n"},
		{"a column called sep=", "sep=x,b\n1,2\n", nil, "1|2\n"},
	} {
		t.Run(test.name, func(t *testing.T) { everyWay(t, test.text, test.want, csvReader(Limits{}, test.columns...)) })
	}
	everyWay(t, "a,b\tc\n1,2\t3\n", "1,2|3\n", func(r io.Reader) Reader { return NewCSV(r, []string{"c"}, true, Limits{}) })
}

func TestColumnsThatAreMissingAreNamed(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"day;sum\n1;2\n", `line 1: the first line has no column "amount"; it has "day", "sum"`},
		{"day,amount,amount\n", `line 1: the first line has the column "amount" twice`},
		{"", "line 1: the file has no line that names the columns"},
		{"\n\n" + strings.Repeat("x,", 60), `line 3: the first line has no column "day", "amount"; it has ` + strings.Repeat(`"x", `, 49) + `"x" and 10 more`},
	} {
		_, err := NewCSV(strings.NewReader(test.text), []string{"day", "amount"}, false, Limits{}).Next()
		if err == nil || err.Error() != test.want {
			t.Errorf("%.30q: %v\nwant %s", test.text, err, test.want)
		}
	}
	everyWay(t, "a,a,b\n1,2,3\n", "1|2|3\n", csvReader(Limits{}, "b")) // twice, and nobody asks
}

func TestCellsAreFoundByColumn(t *testing.T) {
	c := NewCSV(strings.NewReader("\uFEFFx,day\n1,2"), []string{"day"}, false, Limits{})
	row, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	cell, ok := row.Cell("day")
	_, other := row.Cell("days")
	if cell != "2" || !ok || other || row.Line != 2 || row.Offset != 9 || string(row.Raw) != "1,2" {
		t.Errorf("%q %v %v, %+v", cell, ok, other, row)
	}
}

func TestCSVOverTheLimitsCostsItsRow(t *testing.T) {
	small := Limits{Row: 100, Columns: 5}
	long := strings.Repeat("x", 1000)
	for _, test := range []struct{ name, text, want string }{
		{"a cell", "a,b\n1," + long + "\n3,4\n", "! row_size 2 \"1,xxxxxxxxxxxxxxxxxx\"\n3|4\n"},
		{"a quoted cell", "a,b\n1,\"" + long + ",\"\"\"\n3,4\n", "! row_size 2 \"1,\\\"xxxxxxxxxxxxxxxxx\"\n3|4\n"},
		{"at the end of the file", "a,b\n1," + long, "! row_size 2 \"1,xxxxxxxxxxxxxxxxxx\"\n"},
		{"never closed", "a,b\n1,\"" + long, "! row_size 2 \"1,\\\"xxxxxxxxxxxxxxxxx\"\n"},
		{"just fits", "a,b\n1," + long[:98] + "\r\n3,4\n", "1|" + long[:98] + "\n3|4\n"},
		{"just does not", "a,b\n1," + long[:99] + "\n3,4\n", "! row_size 2 \"1,xxxxxxxxxxxxxxxxxx\"\n3|4\n"},
		{"names that just fit", long[:100] + "\r\n3\n", "3\n"},
		{"names that just do not", long[:101] + "\n3\n", "! columns 1 \"xxxxxxxxxxxxxxxxxxxx\"\n"},
		{"columns", "a,b\n1" + strings.Repeat(",2", 20) + "\n3,4\n", "! row_size 2 \"1,2,2,2,2,2,2,2,2,2,\"\n3|4\n"},
		{"names", strings.Repeat("a,", 20) + "\n", "! row_size 1 \"a,a,a,a,a,a,a,a,a,a,\"\n"},
		{"the first line", long, "! columns 1 \"xxxxxxxxxxxxxxxxxxxx\"\n"},
		{"lines go on being counted", "a,b\n1,\"" + long + "\n\r\n\r" + long + "\"\n3\n", "! row_size 2 \"1,\\\"xxxxxxxxxxxxxxxxx\"\n! row 6 \"3\"\n"},
		{"a quote not closed within the limit costs its line", "a,b\n1,\"x\n" + strings.Repeat("2,y\n", 50), "! row 2 \"1,\\\"x\"\n" + strings.Repeat("2|y\n", 50)},
	} {
		t.Run(test.name, func(t *testing.T) { everyWay(t, test.text, test.want, csvReader(small)) })
	}
}

// TestQuotesNeverClosedAreNotScannedForEver: every line opens a quote that no
// line closes, so each would be searched to the limit.
func TestQuotesNeverClosedAreNotScannedForEver(t *testing.T) {
	text := "a,b\n" + strings.Repeat("\"x\n", 100_000)
	source := strings.NewReader(text)
	c := NewCSV(source, nil, false, Limits{Row: 10_000})
	scanned, faults := int64(0), 0
	for {
		before := c.w.offset()
		_, err := c.Next()
		if err == io.EOF {
			break
		}
		faults++
		scanned += source.Size() - int64(source.Len()) - before // what it had to look at, about
	}
	if most := int64(4 * len(text)); scanned > most+2*10_000 {
		t.Errorf("%d bytes were scanned of %d", scanned, len(text))
	}
	if faults == 0 || faults > 2000 {
		t.Errorf("%d faults", faults)
	}
}

func TestErrorsOfTheSourceArePassedOn(t *testing.T) {
	for name, read := range map[string]func(io.Reader) Reader{
		"csv": csvReader(Limits{}), "jsonl": func(r io.Reader) Reader { return NewJSONLines(r, Limits{}) },
		"json": pathReader(t, "$[*]", Limits{}),
	} {
		for _, text := range []string{"", "[1, ", "[\"x", "[{\"a\": [tr", "[\"a\", 1]"} {
			if got := show(t, read(broken(text))); !strings.HasSuffix(got, "error disk\n") {
				t.Errorf("%s of %q: %s", name, text, got)
			}
		}
	}
}

// spectrumPass is how many cases of csv-spectrum pass; fewer is a regression.
const spectrumPass = 11

// spectrumDeviations are the cases we answer otherwise, with the reason.
var spectrumDeviations = map[string]string{
	"location_coordinates": "the suite's JSON has another phone number than its CSV",
}

func TestSuiteCSVSpectrum(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suites.Path(t, "csv-spectrum", "csvs"), "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		text := suites.Read(t, "csv-spectrum", "json", name+".json")
		if text[0] == '{' { // a case of one row is not in a list
			text = []byte("[" + string(text) + "]")
		}
		var want []map[string]string
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		problem := spectrum(t, file, want)
		if problem == "" {
			passed++
			continue
		}
		t.Logf("%s: %s: %s", name, problem, spectrumDeviations[name])
		if spectrumDeviations[name] == "" {
			t.Error("which is no known deviation")
		}
	}
	t.Logf("%d of %d cases pass", passed, len(files))
	if passed < spectrumPass {
		t.Errorf("%d cases pass, want at least %d", passed, spectrumPass)
	}
}

// spectrum says what is wrong with the rows of a file.
func spectrum(t *testing.T, file string, want []map[string]string) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c := NewCSV(in, nil, false, Limits{})
	for i := 0; ; i++ {
		row, err := c.Next()
		if err == io.EOF && i == len(want) {
			return ""
		}
		if err != nil || i == len(want) {
			return fmt.Sprintf("row %d: %v; want %d rows", i, err, len(want))
		}
		for name, value := range want[i] {
			if cell, ok := row.Cell(name); !ok || cell != value {
				return fmt.Sprintf("row %d, column %s: %q, want %q", i, name, cell, value)
			}
		}
	}
}
