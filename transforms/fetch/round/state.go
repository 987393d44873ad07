package round

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/rules"
)

// Variant is the digest of what goes along with every request of a job and may
// change its answers, beyond what a request's id says. Secrets are not filled
// in.
func Variant(f harrow.Fetch) string {
	data, err := json.Marshal([]any{f.Headers, f.HostHeaders, f.Cookies, f.Auth, f.Login})
	if err != nil {
		panic(fmt.Sprintf("fetch: config: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// StateOf is what a capture says of its request: all of an answer (outcome
// fetched or not_modified), or only that and how it was asked for. An answer
// can be asked for conditionally if it was a plain 200 to a GET: other kinds of
// 2xx are not what a 304 stands for. Text and headers are the capture's own.
func StateOf(c harrow.Capture, run, variant string) harrow.PageState {
	s := harrow.PageState{ID: c.ID, URL: c.URL, Outcome: c.Outcome, Run: run}
	if c.Outcome != harrow.Fetched && c.Outcome != harrow.NotModified {
		return s
	}
	if c.Method == "GET" && (c.Status == 200 || c.Outcome == harrow.NotModified) {
		v := httpfetch.ValidatorsOf(c.Headers)
		s.ETag, s.LastModified = v.ETag, v.LastModified
	}
	s.FinalURL, s.ContentType, s.Headers, s.Variant = c.FinalURL, c.ContentType, c.Headers, variant
	s.Digest, s.BodyBytes, s.Truncated = c.Digest, c.BodyBytes, c.Truncated
	s.BodyPart, s.BodyRow, s.BodyRows = c.BodyPart, c.BodyRow, c.BodyRows
	s.FirstSeen = rules.FetchedAt(c)
	s.LastSeen = s.FirstSeen
	return s
}

// Learn is what is known of a request after a run that admitted it; the zero
// old says that nothing was. An answer takes the place of the one before; any
// other outcome leaves that as it is.
func Learn(old, now harrow.PageState) harrow.PageState {
	if old.ID.IsZero() {
		return now
	}
	if !now.LastSeen.IsZero() {
		if !old.FirstSeen.IsZero() {
			now.FirstSeen = old.FirstSeen
		}
		return now
	}
	old.Outcome, old.Run, old.Absences = now.Outcome, now.Run, 0
	return old
}

// Keep returns a copy of the state that shares no memory with a batch.
func Keep(s harrow.PageState) harrow.PageState {
	for _, text := range []*string{&s.URL, &s.FinalURL, &s.ETag, &s.LastModified, &s.ContentType, &s.Digest, &s.BodyPart, &s.Variant, &s.Run} {
		*text = strings.Clone(*text)
	}
	s.Outcome = harrow.Outcome(strings.Clone(string(s.Outcome)))
	s.Headers = slices.Clone(s.Headers)
	for i, h := range s.Headers {
		s.Headers[i] = harrow.Header{Name: strings.Clone(h.Name), Value: strings.Clone(h.Value)}
	}
	return s
}
