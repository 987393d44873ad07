package dataflow

import (
	"flag"
	"io"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// right are flags that nothing is wrong with.
func right(t testing.TB) []string {
	return []string{"--project=acme-data", "--region=europe-west1", "--staging_location=gs://acme-staging/harrow", "--max_num_workers=4", "--worker_binary=" + staticProgram(t)}
}

func parse(t testing.TB, args ...string) Options {
	t.Helper()
	var o Options
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.Define(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWhatIsMissingOrWrongIsNamedWithItsFlag(t *testing.T) {
	// A case's flags come after those that are right; one without a value
	// takes that one away.
	for _, c := range []struct{ flags, want string }{
		{"--project=", "--project is missing: the project that pays"},
		{"--region=", "--region is missing"},
		{"--staging_location=", "--staging_location is missing: where the worker's program and the pipeline are put, gs://BUCKET/FOLDER"},
		{"--max_num_workers=0", "--max_num_workers is missing"},
		{"--project=Acme", "--project=Acme: want a project's id"},
		{"--region=europe", "--region=europe: want a region such as europe-west1"},
		{"--region=europe-west1-b", "--region=europe-west1-b: want a region"},
		{"--staging_location=/tmp/x", "--staging_location=/tmp/x: want gs://BUCKET/FOLDER"},
		{"--staging_location=gs://UPPER/x", "--staging_location=gs://UPPER/x: want gs://BUCKET/FOLDER"},
		{"--temp_location=s3://b/x", "--temp_location=s3://b/x: want gs://BUCKET/FOLDER"},
		{"--service_account_email=harrow", "--service_account_email=harrow: want NAME@PROJECT"},
		{"--worker_machine_type=big", "--worker_machine_type=big: want a machine type"},
		{"--worker_machine_type=t2a-standard-2", "an Arm machine; want x86"},
		{"--worker_zone=b", "--worker_zone=b: want a zone"},
		{"--worker_zone=us-east1-b", "--worker_zone=us-east1-b: want a zone of --region=europe-west1"},
		{"--num_workers=5", "--num_workers=5: want at most --max_num_workers=4"},
		{"--num_workers=-1", "--num_workers=-1: want a whole number > 0"},
		{"--max_num_workers=-1", "--max_num_workers=-1: want a whole number > 0"},
		{"--disk_size_gb=-1", "--disk_size_gb=-1: want a whole number > 0"},
		{"--autoscaling_algorithm=BASIC", "--autoscaling_algorithm=BASIC: want NONE or THROUGHPUT_BASED"},
		{"--autoscaling_algorithm=NONE", "--autoscaling_algorithm=NONE: want --num_workers too"},
		{"--flexrs_goal=CHEAP", "--flexrs_goal=CHEAP: want FLEXRS_COST_OPTIMIZED or FLEXRS_SPEED_OPTIMIZED"},
		{"--num_workers=2 --autoscaling_algorithm=NONE --flexrs_goal=FLEXRS_COST_OPTIMIZED", "--flexrs_goal=FLEXRS_COST_OPTIMIZED: needs autoscaling"},
		{"--network=Net/Work", "--network=Net/Work: want a network's name"},
		{"--subnetwork=workers", "--subnetwork=workers: want regions/REGION/subnetworks/NAME"},
		{"--subnetwork=regions/us-east1/subnetworks/workers", "want a subnetwork of --region=europe-west1"},
		{"--dataflow_kms_key=key", "--dataflow_kms_key=key: want projects/"},
		{"--sdk_container_image=-x", "--sdk_container_image=-x: want a container image"},
		{"--template_location=gs://b0b/", "--template_location=gs://b0b/: want gs://BUCKET/OBJECT"},
		{"--dataflow_endpoint=http://127.0.0.1:1", "--dataflow_endpoint=http://127.0.0.1:1: want a URL that ends in a slash"},
		{"--dataflow_endpoint=ftp://x/", "--dataflow_endpoint=ftp://x/: want a URL"},
		{"--experiments=disable_runner_v2", "--experiments=disable_runner_v2: pipelines in Go need"},
		{`--labels={"Team":"x"}`, `--labels: key "Team": want a small letter`},
		{`--labels={"team":"A.B"}`, `--labels: team: "A.B": want`},
		{`--labels={"harrow-run":"x"}`, "--labels: harrow-run is set by Harrow"},
		{"--worker_binary=/nowhere/w", "--worker_binary=/nowhere/w: "},
	} {
		o := parse(t, append(right(t), strings.Fields(c.flags)...)...)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.flags, err, c.want)
		} else if n := len(err.(problems)); n != 1 { //nolint:errorlint // it is what is looked at
			t.Errorf("%s: %d problems, want one: %v", c.flags, n, err)
		}
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	o := parse(t, "--worker_binary="+staticProgram(t))
	err := o.Check()
	if err == nil {
		t.Fatal("nothing is wrong with nothing")
	}
	for _, name := range []string{"--project", "--region", "--staging_location", "--max_num_workers"} {
		if !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("got %v; want a word on %s", err, name)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q; want one line", err)
	}
}

func TestWhatIsRightPassesAndFollowsFromTheRest(t *testing.T) {
	for _, c := range []struct {
		flags string
		right func(Options) bool
	}{
		{"", func(o Options) bool { return o.Temp == "gs://acme-staging/harrow/tmp" && o.MaxWorkers == 4 }},
		{"--temp_location=gs://acme-tmp", func(o Options) bool { return o.Temp == "gs://acme-tmp" }},
		{"--max_num_workers=0 --num_workers=3", func(o Options) bool { return o.MaxWorkers == 3 }},
		{"--autoscaling_algorithm=NONE --num_workers=4", func(o Options) bool { return o.NumWorkers == 4 }},
		{"--flexrs_goal=FLEXRS_COST_OPTIMIZED", func(o Options) bool { return o.FlexRS != "" }},
		{"--worker_zone=europe-west1-b --worker_machine_type=e2-custom-4-8192", func(o Options) bool { return o.WorkerZone != "" }},
		{"--no_use_public_ips --subnetwork=regions/europe-west1/subnetworks/w", func(o Options) bool { return o.NoPublicIPs }},
		{"--subnetwork=https://www.googleapis.com/compute/v1/projects/net/regions/europe-west1/subnetworks/w", func(o Options) bool { return true }},
		{"--project=example.com:acme-data", func(o Options) bool { return true }},
		{`--labels={"team":"data-1","cost_centre":""}`, func(o Options) bool { return o.Labels["team"] == "data-1" }},
		{"--experiments=a,b --dataflow_service_options=c", func(o Options) bool { return len(o.Experiments) == 2 && len(o.ServiceOptions) == 1 }},
		{"--sdk_container_image=europe-docker.pkg.dev/acme/images/harrow@sha256:00", func(o Options) bool { return true }},
		{"--worker_secrets=A=projects/p/secrets/s,B_1=projects/p/secrets/s/versions/7", func(o Options) bool {
			return len(o.Secrets) == 2 && o.Secrets[0].Version == "projects/p/secrets/s/versions/latest" && o.Secrets[1] == Secret{"B_1", "projects/p/secrets/s/versions/7"}
		}},
	} {
		o := parse(t, append(right(t), strings.Fields(c.flags)...)...)
		if err := o.Check(); err != nil || !c.right(o) {
			t.Errorf("%s: %v, got %+v", c.flags, err, o)
		}
	}
}

func TestNoFlagIsOnTheGlobalFlagSet(t *testing.T) {
	var o Options
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	o.Define(fs)
	fs.VisitAll(func(f *flag.Flag) {
		if flag.CommandLine.Lookup(f.Name) != nil {
			t.Errorf("--%s is on the global flag set: all of that is shipped to workers", f.Name)
		}
		if f.Usage == "" {
			t.Errorf("--%s does not say what its value has to be", f.Name)
		}
	})
}

// googles is the form of names in Google's reference of the API, but for
// their length: at most 1,024.
var googles = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

func TestEveryJobHasANameAndLabelsThatDataflowTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		job := rapid.StringMatching(`[a-z][a-z0-9-]{0,62}`).Draw(t, "job")
		run := rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`).Draw(t, "run")
		name := JobName(job, run)
		if !googles.MatchString(name) || len(name) > 1024 {
			t.Fatalf("name %q", name)
		}
		if j, r, err := SplitName(name); err != nil || j != job || r != run {
			t.Fatalf("%q is split into %q and %q, %v", name, j, r, err)
		}
		for key, value := range (Options{}).Label(job, run) {
			if !labelKey.MatchString(key) || !labelValue.MatchString(value) {
				t.Fatalf("label %q: %q", key, value)
			}
		}
	})
}

func TestLabelsThatWereAskedForStandBesideOurs(t *testing.T) {
	got := Options{Labels: map[string]string{"team": "data"}}.Label("shop", "id")
	if len(got) != 3 || got["team"] != "data" || got["harrow-job"] != "shop" || got["harrow-run"] != "id" {
		t.Errorf("got %v", got)
	}
}

func FuzzParseSecrets(f *testing.F) {
	for _, s := range []string{"A=projects/p/secrets/s", "A=projects/x.com:p/secrets/s/versions/1,B=projects/p/secrets/t", "A=B", ",", "A=projects/p/secrets/s/versions/0x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secrets, err := ParseSecrets(text)
		if err != nil {
			return
		}
		again, err := ParseSecrets(FormatSecrets(secrets))
		if err != nil || FormatSecrets(again) != FormatSecrets(secrets) {
			t.Errorf("%q: %v becomes %v, %v", text, secrets, again, err)
		}
	})
}
