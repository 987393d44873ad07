package doctor

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestAReportIsALineACheck(t *testing.T) {
	r := Report{}
	r.Add(Fine("java", "17"), Unsure("clock", "nobody knows", "ask"), Failed("load", "mend\nit", errors.New("no \x1b[31mway")))
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 3 || lines[0] != "ok    java: 17" || lines[1] != "warn  clock: nobody knows — ask" || !strings.HasPrefix(lines[2], "FAIL  load: no ") {
		t.Errorf("got %q", lines)
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("control characters go through to the terminal")
	}
	if r.OK() || !r[:2].OK() {
		t.Error("a failed check fails the report, a warning doesn't")
	}
	data, err := json.Marshal(r[1])
	if want := `{"state":"warn","what":"clock: nobody knows","do":"ask","about":"clock"}`; err != nil || string(data) != want {
		t.Errorf("got %s, %v; want %s", data, err, want)
	}
}
