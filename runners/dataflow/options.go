package dataflow

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Options are what a job on Dataflow is told, by Beam's names of them. Zero
// values are left to Dataflow.
type Options struct {
	Project, Region string // where it runs; wanted
	Staging         string // gs:// folder of the worker's program and the pipeline; wanted
	Temp            string // gs:// folder for Dataflow itself; tmp within Staging

	ServiceAccount string // whom workers act for
	MachineType    string // of workers, x86
	NumWorkers     int64  // at the start
	MaxWorkers     int64  // at most; NumWorkers, if that is given
	Autoscaling    string // NONE, THROUGHPUT_BASED
	FlexRS         string // FLEXRS_SPEED_OPTIMIZED, FLEXRS_COST_OPTIMIZED
	WorkerZone     string // within the region
	DiskGB         int64
	DiskType       string // a Compute Engine disk type's URL
	Network        string
	Subnetwork     string // regions/REGION/subnetworks/NAME, or its URL
	NoPublicIPs    bool   // workers have private addresses alone
	KMSKey         string // encrypts what Dataflow keeps

	Image    string // container image of workers
	Worker   string // file of the worker's program; the running one
	Template string // gs:// object to write the job to instead of submitting it
	Endpoint string // of the API, ends in a slash; Google's

	Labels         map[string]string // of the job, beside our own
	Experiments    []string
	ServiceOptions []string
	Secrets        []Secret // of workers
}

// Define puts the options on a flag set. A flag's usage says what its value
// has to be.
func (o *Options) Define(fs *flag.FlagSet) {
	for _, f := range []struct {
		at    *string
		name  string
		usage string
	}{
		{&o.Project, "project", "a project's id"},
		{&o.Region, "region", "a region such as europe-west1"},
		{&o.Staging, "staging_location", "gs://BUCKET/FOLDER"},
		{&o.Temp, "temp_location", "gs://BUCKET/FOLDER"},
		{&o.ServiceAccount, "service_account_email", "NAME@PROJECT.iam.gserviceaccount.com"},
		{&o.MachineType, "worker_machine_type", "a machine type such as e2-standard-2"},
		{&o.Autoscaling, "autoscaling_algorithm", "NONE or THROUGHPUT_BASED"},
		{&o.FlexRS, "flexrs_goal", "FLEXRS_COST_OPTIMIZED or FLEXRS_SPEED_OPTIMIZED"},
		{&o.WorkerZone, "worker_zone", "a zone such as europe-west1-b"},
		{&o.DiskType, "disk_type", "compute.googleapis.com/projects/PROJECT/zones/ZONE/diskTypes/TYPE"},
		{&o.Network, "network", "a network's name"},
		{&o.Subnetwork, "subnetwork", "regions/REGION/subnetworks/NAME, or its URL"},
		{&o.KMSKey, "dataflow_kms_key", "projects/…/cryptoKeys/KEY"},
		{&o.Image, "sdk_container_image", "a container image"},
		{&o.Worker, "worker_binary", "a file"},
		{&o.Template, "template_location", "gs://BUCKET/OBJECT"},
		{&o.Endpoint, "dataflow_endpoint", "a URL that ends in a slash"},
	} {
		fs.StringVar(f.at, f.name, "", f.usage)
	}
	fs.Int64Var(&o.NumWorkers, "num_workers", 0, "a whole number > 0")
	fs.Int64Var(&o.MaxWorkers, "max_num_workers", 0, "a whole number > 0")
	fs.Int64Var(&o.DiskGB, "disk_size_gb", 0, "a whole number > 0")
	fs.BoolVar(&o.NoPublicIPs, "no_use_public_ips", false, "true or false")
	fs.Func("labels", `a JSON object such as {"team":"data"}`, func(text string) error { return json.Unmarshal([]byte(text), &o.Labels) })
	fs.Func("experiments", "names, with commas between them", list(&o.Experiments))
	fs.Func("dataflow_service_options", "names, with commas between them", list(&o.ServiceOptions))
	fs.Func("worker_secrets", "NAME=projects/PROJECT/secrets/SECRET, with commas between them", func(text string) (err error) {
		o.Secrets, err = ParseSecrets(text)
		return err
	})
}

func list(into *[]string) func(string) error {
	return func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name == "" {
				return errors.New("a name is missing")
			} else {
				*into = append(*into, name)
			}
		}
		return nil
	}
}

// The forms of values. They are as narrow as Google writes them down, so that
// a slip is found here and not minutes later there.
var (
	projectForm   = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	regionForm    = regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]+$`)
	zoneForm      = regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]+-[a-z]$`)
	folderForm    = regexp.MustCompile(`^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^?#*\[\]\s]*)?$`)
	objectForm    = regexp.MustCompile(`^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/[^?#*\[\]\s]*[^/?#*\[\]\s]$`)
	accountForm   = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	machineForm   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	networkForm   = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	subnetForm    = regexp.MustCompile(`^(https://www\.googleapis\.com/compute/v1/projects/[^/\s]+/)?regions/([^/\s]+)/subnetworks/[^/\s]+$`)
	kmsForm       = regexp.MustCompile(`^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$`)
	imageForm     = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/@-]*$`)
	labelKey      = regexp.MustCompile(`^\p{Ll}[\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
	labelValue    = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
	armMachine    = regexp.MustCompile(`^(t2a|c4a|n4a)-`)
	noRunnerV2    = regexp.MustCompile(`^(disable_runner_v2|disable_runner_v2_until_2023|disable_prime_runner_v2|disable_portable_runner|enable_streaming_java_runner)$`)
	maxLabelBytes = 128
)

// Check fills in what follows from the rest and says everything that is
// missing or wrong, each with its flag. It asks nobody but looks at the
// worker's program.
func (o *Options) Check() error {
	var p problems
	p.want(o.Project, "project", "the project that pays")
	p.want(o.Region, "region", "where workers run, such as europe-west1")
	p.want(o.Staging, "staging_location", "where the worker's program and the pipeline are put, gs://BUCKET/FOLDER")
	p.form(o.Project, "project", projectForm, "a project's id")
	p.form(o.Region, "region", regionForm, "a region such as europe-west1")
	p.form(o.Staging, "staging_location", folderForm, "gs://BUCKET/FOLDER")
	p.form(o.Temp, "temp_location", folderForm, "gs://BUCKET/FOLDER")
	p.form(o.ServiceAccount, "service_account_email", accountForm, "NAME@PROJECT.iam.gserviceaccount.com")
	p.form(o.MachineType, "worker_machine_type", machineForm, "a machine type such as e2-standard-2")
	p.form(o.WorkerZone, "worker_zone", zoneForm, "a zone such as europe-west1-b")
	p.form(o.Network, "network", networkForm, "a network's name")
	p.form(o.Subnetwork, "subnetwork", subnetForm, "regions/REGION/subnetworks/NAME, or its URL")
	p.form(o.KMSKey, "dataflow_kms_key", kmsForm, "projects/…/locations/…/keyRings/…/cryptoKeys/KEY")
	p.form(o.Image, "sdk_container_image", imageForm, "a container image")
	p.form(o.Template, "template_location", objectForm, "gs://BUCKET/OBJECT")
	p.oneOf(o.Autoscaling, "autoscaling_algorithm", "NONE", "THROUGHPUT_BASED")
	p.oneOf(o.FlexRS, "flexrs_goal", "FLEXRS_COST_OPTIMIZED", "FLEXRS_SPEED_OPTIMIZED")
	o.checkWorkers(&p)
	o.checkPlaces(&p)
	o.checkLabels(&p)
	for _, e := range o.Experiments {
		if noRunnerV2.MatchString(e) {
			p.add("--experiments=%s: pipelines in Go need Dataflow's Runner v2", e)
		}
	}
	if err := CheckWorker(o.Worker); err != nil {
		p = append(p, err)
	}
	if len(p) > 0 {
		return p
	}
	if o.Temp == "" {
		o.Temp = strings.TrimSuffix(o.Staging, "/") + "/tmp"
	}
	return nil
}

// checkWorkers is about how many workers there are and of what kind.
func (o *Options) checkWorkers(p *problems) {
	for _, n := range []struct {
		value int64
		name  string
	}{{o.NumWorkers, "num_workers"}, {o.MaxWorkers, "max_num_workers"}, {o.DiskGB, "disk_size_gb"}} {
		if n.value < 0 {
			p.add("--%s=%d: want a whole number > 0", n.name, n.value)
		}
	}
	switch {
	case o.MaxWorkers == 0 && o.NumWorkers == 0:
		p.add("--max_num_workers is missing: how many workers there may be at once; shards are numbered by it")
	case o.MaxWorkers == 0:
		o.MaxWorkers = o.NumWorkers
	case o.MaxWorkers > 0 && o.NumWorkers > o.MaxWorkers:
		p.add("--num_workers=%d: want at most --max_num_workers=%d", o.NumWorkers, o.MaxWorkers)
	}
	if o.Autoscaling == "NONE" {
		if o.NumWorkers == 0 {
			p.add("--autoscaling_algorithm=NONE: want --num_workers too, nobody else decides it")
		}
		if o.FlexRS != "" {
			p.add("--flexrs_goal=%s: needs autoscaling; leave --autoscaling_algorithm=NONE out", o.FlexRS)
		}
	}
	if armMachine.MatchString(o.MachineType) {
		p.add("--worker_machine_type=%s: an Arm machine; want x86, as the worker's program is linux/amd64", o.MachineType)
	}
}

// checkPlaces is about values that have to agree on a region, and the API.
func (o *Options) checkPlaces(p *problems) {
	if o.WorkerZone != "" && zoneForm.MatchString(o.WorkerZone) && o.Region != "" && !strings.HasPrefix(o.WorkerZone, o.Region+"-") {
		p.add("--worker_zone=%s: want a zone of --region=%s", o.WorkerZone, o.Region)
	}
	if m := subnetForm.FindStringSubmatch(o.Subnetwork); m != nil && o.Region != "" && m[2] != o.Region {
		p.add("--subnetwork=%s: want a subnetwork of --region=%s", o.Subnetwork, o.Region)
	}
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || !strings.HasSuffix(o.Endpoint, "/") {
			p.add("--dataflow_endpoint=%s: want a URL that ends in a slash", o.Endpoint)
		}
	}
}

// Labels of our own on every job.
const (
	jobLabel = "harrow-job"
	runLabel = "harrow-run"
)

func (o *Options) checkLabels(p *problems) {
	for _, key := range slices.Sorted(maps.Keys(o.Labels)) {
		value := o.Labels[key]
		switch {
		case key == jobLabel || key == runLabel:
			p.add("--labels: %s is set by Harrow", key)
		case !labelKey.MatchString(key) || len(key) > maxLabelBytes:
			p.add("--labels: key %q: want a small letter, then at most 62 small letters, digits, _ or -", key)
		case !labelValue.MatchString(value) || len(value) > maxLabelBytes:
			p.add("--labels: %s: %q: want at most 63 small letters, digits, _ or -", key, value)
		}
	}
	if len(o.Labels) > 62 {
		p.add("--labels: %d of them; want at most 62", len(o.Labels))
	}
}

// problems are all that is wrong, one line.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) want(value, name, what string) {
	if value == "" {
		p.add("--%s is missing: %s", name, what)
	}
}

func (p *problems) form(value, name string, form *regexp.Regexp, want string) {
	if value != "" && !form.MatchString(value) {
		p.add("--%s=%s: want %s", name, value, want)
	}
}

func (p *problems) oneOf(value, name string, want ...string) {
	if value != "" && !slices.Contains(want, value) {
		p.add("--%s=%s: want %s", name, value, strings.Join(want, " or "))
	}
}

// Error has all of them in one line.
func (p problems) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = err.Error()
	}
	return "-- " + strings.Join(texts, "; ")
}

// Unwrap gives each of them.
func (p problems) Unwrap() []error { return p }
