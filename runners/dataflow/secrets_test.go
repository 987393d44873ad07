package dataflow

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/soak/fakedataflow"
)

func secretsOf(t *testing.T, values map[string]string) *fakedataflow.Server {
	t.Helper()
	s := fakedataflow.Start(t)
	s.Secrets = values
	t.Setenv(secretManagerEnv, strings.TrimSuffix(s.URL, "/"))
	pause := secretPause
	secretPause = time.Millisecond
	t.Cleanup(func() { secretPause = pause })
	return s
}

func TestSecretsComeIntoTheWorkersEnvironment(t *testing.T) {
	secretsOf(t, map[string]string{"projects/p/secrets/token/versions/latest": "hush\n", "projects/p/secrets/db/versions/3": "postgres://u:p@h/d"})
	t.Setenv("HARROW_TEST_TOKEN", "")
	t.Setenv("HARROW_TEST_DB", "")
	secrets, err := ParseSecrets("HARROW_TEST_TOKEN=projects/p/secrets/token,HARROW_TEST_DB=projects/p/secrets/db/versions/3")
	if err != nil {
		t.Fatal(err)
	}
	if err := SetSecrets(t.Context(), secrets); err != nil {
		t.Fatal(err)
	}
	if got := os.Getenv("HARROW_TEST_TOKEN"); got != "hush" {
		t.Errorf("the token is %q", got)
	}
	if got := os.Getenv("HARROW_TEST_DB"); got != "postgres://u:p@h/d" {
		t.Errorf("the address is %q", got)
	}
}

func TestASecretThatCantBeReadIsNamedAndItsValueNever(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusForbidden:           "Secret Manager Secret Accessor",
		http.StatusNotFound:            "no such secret",
		http.StatusInternalServerError: "500",
	} {
		s := secretsOf(t, map[string]string{"projects/p/secrets/token/versions/latest": "hush"})
		s.Refuse = func(string, string) int { return status }
		err := SetSecrets(t.Context(), []Secret{{"HARROW_TEST_TOKEN", "projects/p/secrets/token/versions/latest"}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "projects/p/secrets/token") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d: got %v, want %q and the secret's name in it", status, err, want)
		}
		if n, again := len(s.Sent()), status >= 500; again != (n == secretTries) || !again && n != 1 {
			t.Errorf("%d: asked %d times", status, n)
		}
	}
}

func TestAnAnswerThatIsNoSecretIsRefused(t *testing.T) {
	for body, want := range map[string]string{
		``:                             "not its JSON",
		`{}`:                           "without a value",
		`[1,2`:                         "not its JSON",
		`{"payload": {"data": "%%%"}}`: "without a value",
		`{"payload": {"data": "aHVzaA==", "dataCrc32c": "1"}}`: "checksum differs",
	} {
		if _, err := payload([]byte(body)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want %q in it", body, err, want)
		}
	}
	if value, err := payload([]byte(`{"payload": {"data": "aHVzaA=="}}`)); err != nil || value != "hush" {
		t.Errorf("without a checksum: %q, %v", value, err)
	}
}

func TestPlacesOfSecretsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "TOKEN", "TOKEN=hush", "1A=projects/p/secrets/s", "A=projects/p/secrets/s/versions/new", "A=projects/p/secrets/s,A=projects/p/secrets/t", "A=projects/p/secrets/s,"} {
		if secrets, err := ParseSecrets(text); err == nil {
			t.Errorf("%q gives %v", text, secrets)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: the error has what may be a value: %v", text, err)
		}
	}
}
