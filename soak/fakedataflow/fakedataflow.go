// Package fakedataflow is what tests submit to instead of Google Cloud
// Dataflow: the jobs of its API v1b3, the server of tokens, and Secret Manager.
// What becomes of a job is scripted, or left to whoever runs it.
package fakedataflow

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	api "google.golang.org/api/dataflow/v1b3"
)

// Token is what the server of tokens hands out, and all but that one is
// refused with.
const Token = "fake-token"

// Server is the fake. Its fields are set before anything is submitted.
type Server struct {
	URL string // ends in a slash: --dataflow_endpoint

	// Begin is called for each job that is created, and has it run: states are
	// set by [Job.Set]. Nil: the job is in Script's states, one a look.
	Begin func(*Job)
	// Script are a job's states without JOB_STATE_; the last one stays.
	Script []string
	// Cancelled are those from when it is cancelled.
	Cancelled []string
	// Messages are what is said about each job, Metrics what it counted.
	Messages []*api.JobMessage
	Metrics  []*api.MetricUpdate
	// Refuse, if not nil, may answer a request with a status; 0: it may not.
	Refuse func(method, path string) int
	// Secrets are the values by projects/P/secrets/S/versions/V.
	Secrets map[string]string

	mu   sync.Mutex
	jobs []*Job
	sent []string // all that was asked: method, address and body
}

// Job is one that was created.
type Job struct {
	api.Job
	JSON   []byte // as it came
	Cancel func() // called when it is cancelled; set by Begin
	s      *Server
	state  string
	left   []string // states to come
}

// Set puts a job into a state, without JOB_STATE_.
func (j *Job) Set(state string) {
	j.s.mu.Lock()
	defer j.s.mu.Unlock()
	j.state = state
}

// State is its state, without JOB_STATE_.
func (j *Job) State() string {
	j.s.mu.Lock()
	defer j.s.mu.Unlock()
	return j.state
}

// Start starts the fake until the test ends, and points the credentials of
// this process and those it starts to it.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Script: []string{"PENDING", "RUNNING", "DONE"}, Cancelled: []string{"CANCELLING", "CANCELLED"}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/"
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account(t, s.URL+"token"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	return s
}

// account is the file of a service account whose tokens come from a URL.
func account(t testing.TB, url string) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "acme-data", "private_key_id": "1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": "submitter@acme-data.iam.gserviceaccount.com", "client_id": "1", "token_uri": url})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Jobs are those that were created, in order.
func (s *Server) Jobs() []*Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.jobs)
}

// Sent is all that was asked, but for tokens.
func (s *Server) Sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Add puts a job there that somebody else created.
func (s *Server) Add(job api.Job, states ...string) *Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(job, states)
}

func (s *Server) add(job api.Job, states []string) *Job {
	job.Id = fmt.Sprintf("2026-11-22_00_00_00-%d", len(s.jobs)+1)
	j := &Job{Job: job, s: s, left: slices.Clone(states)}
	j.next()
	s.jobs = append(s.jobs, j)
	return j
}

// next goes on to the next state of the script.
func (j *Job) next() {
	if len(j.left) > 0 {
		j.state, j.left = j.left[0], j.left[1:]
	}
}

// ServeHTTP answers as Google does, as far as it is asked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/token" {
		answer(w, map[string]any{"access_token": Token, "token_type": "Bearer", "expires_in": 3600})
		return
	}
	s.mu.Lock()
	s.sent = append(s.sent, r.Method+" "+r.URL.String()+"\n"+string(body))
	s.mu.Unlock()
	if s.Refuse != nil {
		if status := s.Refuse(r.Method, r.URL.Path); status != 0 {
			refuse(w, status, "the script says so")
			return
		}
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/v1/"); ok {
		s.secret(w, strings.TrimSuffix(name, ":access"))
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+Token {
		refuse(w, http.StatusUnauthorized, "no token of this server's")
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // v1b3 projects P locations R jobs [ID [WHAT]]
	if len(parts) < 6 || parts[0] != "v1b3" || parts[1] != "projects" || parts[3] != "locations" || parts[5] != "jobs" {
		refuse(w, http.StatusNotFound, r.URL.Path)
		return
	}
	s.serveJobs(w, r, parts[6:], body)
}

func (s *Server) serveJobs(w http.ResponseWriter, r *http.Request, rest []string, body []byte) {
	if len(rest) == 0 {
		if r.Method == http.MethodPost {
			s.create(w, body)
			return
		}
		s.list(w, r.URL.Query().Get("filter"))
		return
	}
	s.mu.Lock()
	i := slices.IndexFunc(s.jobs, func(j *Job) bool { return j.Id == rest[0] })
	if i < 0 {
		s.mu.Unlock()
		refuse(w, http.StatusNotFound, "no job "+rest[0])
		return
	}
	j := s.jobs[i]
	s.mu.Unlock()
	switch {
	case len(rest) == 2 && rest[1] == "messages":
		answer(w, api.ListJobMessagesResponse{JobMessages: s.messages(r.URL.Query().Get("startTime"))})
	case len(rest) == 2 && rest[1] == "metrics":
		answer(w, api.JobMetrics{Metrics: s.Metrics})
	case len(rest) == 1 && r.Method == http.MethodGet:
		answer(w, j.look())
	case len(rest) == 1 && r.Method == http.MethodPut:
		s.update(w, j, body)
	default:
		refuse(w, http.StatusNotFound, r.URL.Path)
	}
}

// look is the job as it is, which goes on by that.
func (j *Job) look() api.Job {
	j.s.mu.Lock()
	defer j.s.mu.Unlock()
	seen := api.Job{Id: j.Id, Name: j.Name, Labels: j.Labels, CurrentState: "JOB_STATE_" + j.state}
	j.next()
	return seen
}

func (s *Server) messages(since string) (found []*api.JobMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.Messages {
		if m.Time >= since {
			found = append(found, m)
		}
	}
	return found
}

// Say adds a message about the jobs.
func (s *Server) Say(m api.JobMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Messages = append(s.Messages, &m)
}

func over(state string) bool {
	return slices.Contains([]string{"DONE", "FAILED", "CANCELLED", "DRAINED", "UPDATED"}, state)
}

func (s *Server) create(w http.ResponseWriter, body []byte) {
	var job api.Job
	if err := json.Unmarshal(body, &job); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	for _, j := range s.jobs { // an active job of that name is what Google answers with
		if j.Name == job.Name && !over(j.state) {
			s.mu.Unlock()
			answer(w, j.Job)
			return
		}
	}
	script := s.Script
	if s.Begin != nil {
		script = []string{"PENDING"}
	}
	j := s.add(job, script)
	j.JSON = body
	made := j.Job
	s.mu.Unlock()
	if s.Begin != nil {
		s.Begin(j)
	}
	answer(w, made)
}

func (s *Server) list(w http.ResponseWriter, filter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list api.ListJobsResponse
	for _, j := range s.jobs { // as summaries are: without labels
		if filter != "ACTIVE" || !over(j.state) {
			list.Jobs = append(list.Jobs, &api.Job{Id: j.Id, Name: j.Name, CurrentState: "JOB_STATE_" + j.state})
		}
	}
	answer(w, list)
}

func (s *Server) update(w http.ResponseWriter, j *Job, body []byte) {
	var change api.Job
	if err := json.Unmarshal(body, &change); err != nil || change.RequestedState != "JOB_STATE_CANCELLED" {
		refuse(w, http.StatusBadRequest, "want requestedState JOB_STATE_CANCELLED")
		return
	}
	s.mu.Lock()
	ended, cancel := over(j.state), j.Cancel
	if !ended && cancel == nil {
		j.left = slices.Clone(s.Cancelled)
		j.next()
	}
	if !ended && cancel != nil {
		j.state = "CANCELLING"
	}
	seen := api.Job{Id: j.Id, CurrentState: "JOB_STATE_" + j.state}
	s.mu.Unlock()
	if ended {
		refuse(w, http.StatusBadRequest, "the job is over")
		return
	}
	if cancel != nil {
		cancel()
	}
	answer(w, seen)
}

func (s *Server) secret(w http.ResponseWriter, version string) {
	value, ok := s.Secrets[version]
	if !ok {
		refuse(w, http.StatusNotFound, "no "+version)
		return
	}
	sum := crc32.Checksum([]byte(value), crc32.MakeTable(crc32.Castagnoli))
	answer(w, map[string]any{"name": version, "payload": map[string]string{"data": base64.StdEncoding.EncodeToString([]byte(value)), "dataCrc32c": strconv.FormatUint(uint64(sum), 10)}})
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil && !errors.Is(err, http.ErrHandlerTimeout) {
		panic(http.ErrAbortHandler) // whoever asked is gone
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error": {"code": %d, "message": %q}}`, status, text) // whoever asked may be gone
}
