package jobmanager

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// cluster is a JobManager that knows of jobs; one it is told to cancel ends
// after a few looks.
type cluster struct {
	mu        sync.Mutex
	jobs      []Job
	cancelled []string
	looks     int  // until a cancelled job has ended
	stubborn  bool // nothing ends
}

func (c *cluster) start(t *testing.T) Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/overview", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.looks--
		for i, j := range c.jobs {
			if j.State == "CANCELLING" && c.looks < 0 && !c.stubborn {
				c.jobs[i].State = "CANCELED"
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"jobs": c.jobs})
	})
	mux.HandleFunc("PATCH /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.IndexFunc(c.jobs, func(j Job) bool { return j.ID == r.PathValue("id") })
		if i < 0 || r.URL.Query().Get("mode") != "cancel" {
			http.Error(w, "no such job", http.StatusNotFound)
			return
		}
		c.jobs[i].State, c.looks = "CANCELLING", 1
		c.cancelled = append(c.cancelled, c.jobs[i].ID)
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /overview", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"taskmanagers":2,"slots-total":4,"flink-version":"1.19.3"}`))
	})
	mux.HandleFunc("GET /jobmanager/config", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"key":"heartbeat.timeout","value":"50000"}]`))
	})
	mux.HandleFunc("GET /jobmanager/environment", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"jvm":{"version":"x","arch":"amd64","options":[]},"classpath":["/opt/flink/lib/a.jar","/opt/flink/lib/b.jar"]}`))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return Client{Address: strings.TrimPrefix(s.URL, "http://")}
}

const (
	one = "0190c0de-0000-7000-8000-000000000001"
	two = "0190c0de-0000-7000-8000-000000000002"
	ws  = "gs://bucket/harvests"
)

func TestOnlyJobsOfTheSameHarvestAreSiblings(t *testing.T) {
	t.Parallel()
	sibling := Sibling(Name("harrow-shop-"+one, ws, "a"))
	for name, want := range map[string]bool{
		Name("harrow-shop-"+one, ws, "a"): true, Name("harrow-shop-"+one, ws, "b"): true, Name("harrow-shop-"+two, ws, "c"): true,
		Name("harrow-shop-"+one, "gs://another/harvests", "a"): false, Name("harrow-shop-"+one, "", "a"): false, "harrow-shop-" + one: false,
		Name("harrow-shop-x-"+two, ws, "a"): false, Name("harrow-sho-"+two, ws, "a"): false, Name("shop-"+two, ws, "a"): false,
		Name("harrow-shop-"+two, ws, "a") + "-x": false, "harrow-shop": false, "": false,
	} {
		if got := sibling(Job{Name: name}); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
	for _, alone := range []string{"mine", Name("harrow-shop.doctor-"+one, "", "a"), Name("harrow-shop-0123abcd.doctor-"+one, "", "a")} {
		if same := Sibling(alone); !same(Job{Name: alone}) || same(Job{Name: Name(alone, "", "a")}) || same(Job{Name: Name("harrow-shop.doctor-"+two, "", "a")}) {
			t.Errorf("%s names no workspace and has other siblings than itself", alone)
		}
	}
}

func TestASubmissionIsCalledAfterItsJobWorkspaceAndRun(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile("^harrow-shop-[0-9a-f]{8}-" + one + "-[0-9a-f]{8}$")
	first, second := Name("harrow-shop-"+one, ws, "a"), Name("harrow-shop-"+one, ws, "b")
	if !form.MatchString(first) || first == second || Name("harrow-shop-"+one, ws, "a") != first {
		t.Errorf("%s and %s", first, second)
	}
}

func TestEndCancelsWhatGoesOnAndWaits(t *testing.T) {
	t.Parallel()
	c := &cluster{jobs: []Job{
		{ID: "a", Name: Name("harrow-shop-"+one, ws, "1"), State: "RUNNING"}, {ID: "b", Name: Name("harrow-shop-"+two, ws, "2"), State: "FINISHED"},
		{ID: "c", Name: Name("harrow-other-"+one, ws, "3"), State: "RUNNING"}, {ID: "d", Name: Name("harrow-shop-"+two, ws, "4"), State: "RESTARTING"},
	}}
	m := c.start(t)
	if n, err := m.End(t.Context(), Sibling(Name("harrow-shop-"+two, ws, "5"))); n != 2 || err != nil {
		t.Errorf("%d cancelled, %v", n, err)
	}
	jobs, err := m.Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"CANCELED", "FINISHED", "RUNNING", "CANCELED"} {
		if jobs[i].State != want {
			t.Errorf("job %s is %s, want %s", jobs[i].ID, jobs[i].State, want)
		}
	}
	if slices.Sort(c.cancelled); !slices.Equal(c.cancelled, []string{"a", "d"}) {
		t.Errorf("cancelled %v: each once", c.cancelled)
	}
}

func TestEndDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	c := &cluster{stubborn: true, jobs: []Job{{ID: "a", Name: "x", State: "RUNNING"}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if n, err := c.start(t).End(ctx, Sibling("x")); n != 1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestFindTakesTheNewestThatGoesOn(t *testing.T) {
	t.Parallel()
	m := (&cluster{jobs: []Job{{ID: "b", Name: "x", Start: 2}, {ID: "c", Name: "y", Start: 9}, {ID: "a", Name: "x", Start: 1}, {ID: "d", Name: "x", Start: 3, State: "FAILED"}}}).start(t)
	if j, ok, err := m.Find(t.Context(), "x"); j.ID != "b" || !ok || err != nil {
		t.Errorf("%+v, %t, %v", j, ok, err)
	}
	if j, ok, err := m.Find(t.Context(), "z"); ok || err != nil {
		t.Errorf("%+v, %t, %v", j, ok, err)
	}
}

func TestWhatTheClusterHas(t *testing.T) {
	t.Parallel()
	m := (&cluster{}).start(t)
	has, err := m.Overview(t.Context())
	if has.TaskManagers != 2 || has.Slots != 4 || has.Version != "1.19.3" || err != nil {
		t.Errorf("%+v, %v", has, err)
	}
	config, err := m.Config(t.Context())
	if len(config) != 1 || config["heartbeat.timeout"] != "50000" || err != nil {
		t.Errorf("%v, %v", config, err)
	}
	path, err := m.ClassPath(t.Context())
	if !slices.Equal(path, []string{"/opt/flink/lib/a.jar", "/opt/flink/lib/b.jar"}) || err != nil {
		t.Errorf("%v, %v", path, err)
	}
}

func TestHowAClusterRestartsJobs(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]map[string]string{
		NoRestarts:             {"restart-strategy.fixed-delay.attempts": "3"},
		"fixed-delay, 3 times": {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "3"},
		"fixed-delay, 1 times": {"restart-strategy": "fixedDelay"},
		"exponential-delay":    {"restart-strategy.type": "exponential-delay", "restart-strategy": "none"},
	} {
		if got := Restarts(config); got != want {
			t.Errorf("%v: %q, want %q", config, got, want)
		}
	}
}

func TestWhatIsNoFlinkIsUnavailable(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, s := range map[string]*httptest.Server{
		"nobody":         gone,
		"another server": httptest.NewServer(http.NotFoundHandler()),
		"another answer": httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })),
	} {
		_, err := Client{Address: strings.TrimPrefix(s.URL, "http://")}.Jobs(t.Context())
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), s.URL+"/jobs/overview") {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}
