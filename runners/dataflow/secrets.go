package dataflow

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2/google"
)

// Secret is an environment variable of workers whose value is in Secret
// Manager. Only where it lies is ever sent.
type Secret struct {
	Name    string // of the variable
	Version string // projects/PROJECT/secrets/SECRET/versions/VERSION
}

var secretForm = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=(projects/[^/\s:]+(?::[^/\s:]+)?/secrets/[A-Za-z0-9_-]{1,255})(/versions/(?:latest|[0-9]+))?$`)

// ParseSecrets reads NAME=projects/PROJECT/secrets/SECRET[/versions/VERSION],
// with commas between several. Without a version it is the latest.
func ParseSecrets(text string) ([]Secret, error) {
	var secrets []Secret
	seen := map[string]bool{}
	for one := range strings.SplitSeq(text, ",") {
		m := secretForm.FindStringSubmatch(strings.TrimSpace(one))
		if m == nil || seen[m[1]] {
			return nil, errors.New("want NAME=projects/PROJECT/secrets/SECRET[/versions/VERSION], each NAME once")
		}
		seen[m[1]] = true
		if m[3] == "" {
			m[3] = "/versions/latest"
		}
		secrets = append(secrets, Secret{m[1], m[2] + m[3]})
	}
	return secrets, nil
}

// FormatSecrets is what ParseSecrets reads.
func FormatSecrets(secrets []Secret) string {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = s.Name + "=" + s.Version
	}
	return strings.Join(texts, ",")
}

const (
	secretManager = "https://secretmanager.googleapis.com"
	// secretManagerEnv names the server to be asked instead of Google's, as
	// STORAGE_EMULATOR_HOST does for Cloud Storage.
	secretManagerEnv = "SECRET_MANAGER_EMULATOR_HOST"
	cloudPlatform    = "https://www.googleapis.com/auth/cloud-platform"
	// secretTimeout bounds one look at a secret; secretTries how often a
	// server that is not well is asked.
	secretTimeout = 30 * time.Second
	secretTries   = 4
	maxSecretBody = 256 << 10 // a secret has at most 64 KiB
)

// secretPause is what the second try waits; each further one twice that.
var secretPause = time.Second

// SetSecrets reads secrets with the credentials of this process and puts them
// into its environment. An error names the secret, never a value.
func SetSecrets(ctx context.Context, secrets []Secret) error {
	if len(secrets) == 0 {
		return nil
	}
	client, host, err := secretClient(ctx)
	if err != nil {
		return fmt.Errorf("Secret Manager: %w", err)
	}
	for _, s := range secrets {
		value, err := readSecret(ctx, client, host+"/v1/"+s.Version+":access")
		if err == nil {
			err = os.Setenv(s.Name, value)
		}
		if err != nil {
			return fmt.Errorf("secret %s for %s: %w", s.Version, s.Name, err)
		}
	}
	return nil
}

func secretClient(ctx context.Context) (*http.Client, string, error) {
	if host := os.Getenv(secretManagerEnv); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		return http.DefaultClient, strings.TrimSuffix(host, "/"), nil
	}
	client, err := google.DefaultClient(ctx, cloudPlatform)
	return client, secretManager, err
}

// readSecret asks again where the server is not well.
func readSecret(ctx context.Context, client *http.Client, url string) (string, error) {
	pause := secretPause
	for try := 1; ; try++ {
		value, again, err := accessSecret(ctx, client, url)
		if err == nil || !again || try == secretTries {
			return value, err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return "", errors.Join(err, ctx.Err())
		}
	}
}

func accessSecret(ctx context.Context, client *http.Client, url string) (value string, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", false, err
	}
	answer, err := client.Do(req)
	if err != nil {
		return "", true, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxSecretBody))
	err = errors.Join(err, answer.Body.Close())
	switch {
	case err != nil:
		return "", true, err
	case answer.StatusCode != http.StatusOK:
		return "", answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests, explain(answer.StatusCode)
	}
	value, err = payload(body)
	return value, false, err
}

// explain says what to do about a status. What the server says beside it is
// left out: it may be anything.
func explain(status int) error {
	text := fmt.Sprintf("Secret Manager answers %d %s", status, http.StatusText(status))
	switch status {
	case http.StatusForbidden, http.StatusUnauthorized:
		return errors.New(text + "; the worker's service account needs the role Secret Manager Secret Accessor on it")
	case http.StatusNotFound:
		return errors.New(text + "; there is no such secret, or no such version of it")
	}
	return errors.New(text)
}

// payload takes the value out of an answer and compares its checksum.
func payload(body []byte) (string, error) {
	var answer struct {
		Payload struct {
			Data       string `json:"data"`
			DataCRC32C string `json:"dataCrc32c"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", errors.New("Secret Manager answers what is not its JSON")
	}
	data, err := base64.StdEncoding.DecodeString(answer.Payload.Data)
	if err != nil || len(data) == 0 {
		return "", errors.New("Secret Manager answers without a value")
	}
	if sum := answer.Payload.DataCRC32C; sum != "" && sum != strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10) {
		return "", errors.New("the value was damaged on its way: its checksum differs")
	}
	// As ${file:…} does: editors and echo end a file with a line break.
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
