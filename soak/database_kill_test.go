package soak

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/soak/postgres"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
)

const (
	serverKills     = 2
	serverKillsLong = 24
)

// disturbances of a server, by which those that kill come first and are the
// ones that count.
var disturbances = []struct {
	name  string
	kills bool
	do    func(t *testing.T, r *rand.Rand, s *postgres.Server) error
}{
	{"backends killed", true, func(t *testing.T, _ *rand.Rand, s *postgres.Server) error {
		_, err := s.KillBackends(t.Context())
		return err
	}},
	{"server killed", true, func(_ *testing.T, r *rand.Rand, s *postgres.Server) error {
		err := s.Kill()
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		return errors.Join(err, s.Restart())
	}},
	{"server restarted", false, func(_ *testing.T, _ *rand.Rand, s *postgres.Server) error { return s.Restart() }},
	{"connections ended", false, func(t *testing.T, _ *rand.Rand, s *postgres.Server) error {
		_, err := s.Terminate(t.Context())
		return err
	}},
	{"server hangs", false, func(_ *testing.T, _ *rand.Rand, s *postgres.Server) error {
		err := s.Hang()
		time.Sleep(500 * time.Millisecond)
		return errors.Join(err, s.Wake())
	}},
}

// disturb disturbs a load at random moments and lets it come to its end, as
// often as the process has to be started for that. It says what was done.
func (l *loads) disturb(r *rand.Rand, c calmLoad, kinds []int) (done []string, kills int) {
	l.t.Helper()
	p := l.run()
	for _, kind := range kinds {
		if !l.loading(p) {
			break
		}
		time.Sleep(time.Duration(r.Float64() * 0.9 * float64(c.took)))
		select {
		case <-p.Exited:
			continue
		default:
		}
		d := disturbances[kind]
		if err := d.do(l.t, r, l.server); err != nil {
			l.t.Fatalf("%s: %v", d.name, err)
		}
		done = append(done, d.name)
		if d.kills {
			kills++
		}
	}
	for tries := 0; p.Wait() != rig.ExitDone; tries++ {
		if code := p.Wait(); code != 1 || tries == 3 {
			l.t.Fatalf("exit %d:\n%s", code, rig.Tail(p.Out.String()))
		}
		p = l.run()
	}
	return done, kills
}

// equals compares what a load came to with the calm one.
func (l *loads) equals(c calmLoad) {
	l.t.Helper()
	if diff := stable.Diff(c.state, l.state()); diff != "" {
		l.t.Errorf("undisturbed and disturbed load differ:\n%s", diff)
	}
	for _, p := range l.past {
		if strings.Contains(p.Out.String(), postgres.Password) {
			l.t.Error("the password is in the output")
		}
	}
	if l.t.Failed() {
		for i, p := range l.past {
			l.t.Logf("process %d:\n%s", i, rig.Tail(p.Out.String()))
		}
		l.t.Logf("the server's log:\n%s", l.server.Log())
	}
}

// However the server dies, is restarted or hangs while a run loads: every row
// is there once, and what load counted is what is there.
func TestAServerKilledDuringLoadLosesAndDoublesNothing(t *testing.T) {
	u, seed, want := theUpserts(t), rig.Seed(t), serverKills
	if rig.Long() {
		want = serverKillsLong
	}
	s, c := u.server, u.calm
	t.Logf("seed %d; an undisturbed load takes %v", seed, c.took.Round(time.Millisecond))
	kills, cases, all := 0, 0, map[string]int{}
	for number := 0; kills < want && !t.Failed() && number < 3*want; number++ {
		t.Run(fmt.Sprintf("case-%02d", number), func(t *testing.T) {
			cases++
			r := rig.Random(seed, 2000+number)
			kinds := []int{number % 2, (number + 1) % 2} // each way of dying in the first case
			if number > 0 {
				kinds = []int{number % 2, r.IntN(len(disturbances)), r.IntN(len(disturbances))}
			}
			l := u.fresh(t, s.Database(t))
			done, k := l.disturb(r, c, kinds)
			kills += k
			for _, name := range done {
				all[name]++
			}
			l.equals(c)
			t.Logf("%d processes; %s", len(l.past), strings.Join(done, ", "))
			if t.Failed() {
				t.Logf("again: HARROW_SEED=%d HARROW_SOAK=1 go test ./soak -run '%s$'", seed, t.Name())
			}
		})
	}
	if kills < want && !t.Failed() {
		t.Errorf("%d kills in %d loads, want %d: the moments are wrong", kills, cases, want)
	}
	rig.Report(t, seed, "%d loads of %d rows, %d kills (%v); tables, marks, counts and rejects equal", cases, 2*u.rows, kills, all)
}

// A connection may be lost at any byte, and between COMMIT and its answer:
// then the mark decides.
func TestConnectionsCutAnywhereLoseAndDoubleNothing(t *testing.T) {
	u, seed := theUpserts(t), rig.Seed(t)
	n, kinds, total := 1, map[string]int{}, 0
	if rig.Long() {
		n = 10
	}
	for number := range n {
		t.Run(fmt.Sprintf("case-%02d", number), func(t *testing.T) {
			l, r := u.fresh(t, u.server.Database(t)), rig.Random(seed, 4000+number)
			way := u.server.Proxy(t, func(connection int) postgres.Cut {
				cuts := []struct {
					name string
					cut  postgres.Cut
				}{{"sent", postgres.Cut{Sent: 1 + r.Int64N(1<<20)}}, {"received", postgres.Cut{Received: 1 + r.Int64N(4<<10)}},
					{"commit lost", postgres.Cut{CommitLost: true}}, {"commit unanswered", postgres.Cut{CommitUnanswered: true}}}
				if connection >= 12 || connection%6 == 5 {
					return postgres.Cut{}
				}
				c := cuts[(connection+number)%len(cuts)] // the first connections meet each
				kinds[c.name]++
				return c.cut
			})
			direct := l.url
			l.url = way.URL(direct)
			for p, tries := l.run(), 0; p.Wait() != rig.ExitDone; p, tries = l.run(), tries+1 {
				if code := p.Wait(); code != 1 || tries == 5 {
					t.Fatalf("exit %d:\n%s", code, rig.Tail(p.Out.String()))
				}
			}
			l.url = direct
			l.equals(u.calm)
			cuts, connections := way.Cuts()
			total += cuts
			t.Logf("%d of %d connections cut, %d processes", cuts, connections, len(l.past))
			if cuts == 0 {
				t.Error("no connection was cut")
			}
		})
	}
	rig.Report(t, seed, "%d loads, %d connections cut (%v); tables, marks, counts and rejects equal", n, total, kinds)
}

// A load that was cut short is finished by whatever runs it then.
func TestALoadGoesOnWithAnotherParallelism(t *testing.T) {
	u, seed := theUpserts(t), rig.Seed(t)
	s, c := u.server, u.calm
	ways := []struct {
		name, procs string
		args        []string
	}{{"prism", "", []string{"--runner", "prism"}}, {"one processor", "1", nil}, {"five processors on prism", "5", []string{"--runner", "prism"}}}
	if !rig.Long() {
		ways = ways[:2]
	}
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := rig.Random(seed, 3000+i)
			l := u.fresh(t, s.Database(t))
			for !l.cutShort(time.Duration(r.Float64() * 0.5 * float64(c.took))) {
				l = u.fresh(t, s.Database(t)) // it had ended by then
			}
			marked := l.marks()
			if way.procs != "" {
				t.Setenv("GOMAXPROCS", way.procs)
			}
			l.run(way.args...).Want(rig.ExitDone)
			l.equals(c)
			t.Logf("killed with %d shards marked", marked)
		})
	}
	rig.Report(t, seed, "%d ways to go on; tables, marks, counts and rejects equal", len(ways))
}

// cutShort kills the process some time after it began to load; false: it was
// done by then.
func (l *loads) cutShort(after time.Duration) bool {
	l.t.Helper()
	p := l.run()
	if l.loading(p) {
		select {
		case <-p.Exited:
		case <-time.After(after):
		}
	}
	p.Signal(unix.SIGKILL)
	return p.Wait() == -1
}

// marks is how many shards are marked.
func (l *loads) marks() int {
	l.t.Helper()
	if l.sql("SELECT to_regclass('_harrow_marks')")[0] == "" {
		return 0
	}
	n := 0
	if _, err := fmt.Sscan(l.sql("SELECT count(*) FROM _harrow_marks")[0], &n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// versions are the rows of a table with the transaction that wrote each.
func (l *loads) versions(table string) map[string]string {
	l.t.Helper()
	written := map[string]string{}
	for _, line := range l.sql("SELECT sku, xmin, ctid FROM " + table) {
		sku, version, _ := strings.Cut(line, "|")
		written[sku] = version
	}
	return written
}

func TestASecondRunRewritesOnlyWhatChanged(t *testing.T) {
	u := theUpserts(t)
	l := u.fresh(t, u.server.Database(t))
	l.run().Want(rig.ExitDone)
	first := map[string]map[string]string{"item": l.versions("item"), "line": l.versions("line")}
	for _, again := range [][]string{{"--from", "load"}, {"--run", "new"}} {
		l.run(again...).Want(rig.ExitDone)
		for table, rows := range first {
			if n := len(differing(rows, l.versions(table))); n > 0 {
				t.Errorf("%s: %d of %d rows of %s were rewritten, though nothing changed", strings.Join(again, " "), n, len(rows), table)
			}
		}
	}
	u.revision.Store(1)
	l.run().Want(rig.ExitDone)
	want := u.priced()
	changed := differing(first["item"], l.versions("item"))
	if len(changed) != want {
		t.Errorf("%d rows were rewritten, want the %d whose price changed", len(changed), want)
	}
	for _, sku := range changed {
		if !strings.HasSuffix(sku, "3") {
			t.Errorf("%s was rewritten, though its price is as it was", sku)
			break
		}
	}
	if n := len(differing(first["line"], l.versions("line"))); n > 0 {
		t.Errorf("%d rows of line were rewritten, though nothing of them changed", n)
	}
	_, counts := l.manifest()
	if n := counts["item"]; n.Changed != int64(want) || n.Added != 0 || n.Stale != 0 {
		t.Errorf("load counted %+v, want %d changed", n, want)
	}
	rig.Report(t, 0, "%d rows: none rewritten by two unchanged runs, %d by one with a tenth of the prices changed", len(first["item"])+len(first["line"]), len(changed))
}

// differing lists the keys whose values differ, or that only one has.
func differing(a, b map[string]string) (keys []string) {
	for key, v := range a {
		if b[key] != v {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
