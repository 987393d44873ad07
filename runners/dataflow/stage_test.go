package dataflow

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/soak/fakegcs"
)

func openStage(t *testing.T) *Stage {
	t.Helper()
	s, err := OpenStage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// object is what lies at a gs:// URL.
func object(t *testing.T, server *fakegcs.Server, url string) []byte {
	t.Helper()
	bucket, name, _ := strings.Cut(strings.TrimPrefix(url, "gs://"), "/")
	answer, err := http.Get(server.URL + "/storage/v1/b/" + bucket + "/o/" + strings.ReplaceAll(name, "/", "%2F") + "?alt=media")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, answer.Status, err)
	}
	return data
}

func TestTheWorkersProgramIsStagedOnceByItsDigest(t *testing.T) {
	server := fakegcs.Start(t)
	stage, folder := openStage(t), server.Workspace("staging/")
	want, err := os.ReadFile(staticProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	first, err := stage.Worker(t.Context(), folder, staticProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(want)
	if first.SHA256 != hex.EncodeToString(sum[:]) || first.URL != server.Workspace("staging/harrow/workers/"+first.SHA256+"/worker") {
		t.Errorf("got %+v", first)
	}
	if got := object(t, server, first.URL); string(got) != string(want) {
		t.Errorf("%d bytes are there, want the %d of the program", len(got), len(want))
	}
	sent := server.Proxy.Counts(false)["write"]
	second, err := stage.Worker(t.Context(), folder, staticProgram(t))
	if err != nil || second != first {
		t.Errorf("the second time: %+v, %v; want %+v", second, err, first)
	}
	if again := server.Proxy.Counts(false)["write"]; again != sent || sent != 1 {
		t.Errorf("it was sent again: %d uploads, then %d", sent, again)
	}
}

func TestWhatIsThereButDamagedIsStagedAgain(t *testing.T) {
	server := fakegcs.Start(t)
	stage := openStage(t)
	url := server.Workspace("staging/model")
	for _, text := range []string{"damaged", "as it is", "as it is"} {
		staged, err := stage.Put(t.Context(), url, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(text))
		if got := object(t, server, staged.URL); string(got) != text || staged.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("got %q, %+v; want %q", got, staged, text)
		}
	}
}

func TestABucketThatIsNotThereIsNamed(t *testing.T) {
	fakegcs.Start(t)
	_, err := openStage(t).Put(t.Context(), "gs://no-such-bucket/model", nil)
	if err == nil || !strings.Contains(err.Error(), "gs://no-such-bucket/model") {
		t.Errorf("got %v", err)
	}
}
