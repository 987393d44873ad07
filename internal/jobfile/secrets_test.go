package jobfile

import (
	"strings"
	"testing"
)

func TestEachSecretThatLacksIsNamed(t *testing.T) {
	env := func(name string) (string, bool) { return "", name == "EMPTY" }
	if err := Lacking([]string{"EMPTY"}, env); err != nil {
		t.Errorf("a secret with an empty value lacks: %v", err)
	}
	err := Lacking([]string{"ONE", "EMPTY", "file:/no/such/file"}, env)
	if err == nil {
		t.Fatal("two secrets lack, and there is no error")
	}
	for _, want := range []string{"${ONE} has no value", "${file:/no/such/file} can't be read"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q; want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "EMPTY") {
		t.Errorf("got %q, which names one that is there", err)
	}
}
