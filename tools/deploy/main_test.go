package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const folder = "../../deploy"

// definitions is where tools/setup has put the operator's.
func definitions(t *testing.T) string {
	t.Helper()
	dir := "../../.build/crds"
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("HARROW_TEST_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return dir
}

func TestWhatIsThereIsRight(t *testing.T) {
	n, err := check(definitions(t), folder)
	if err != nil {
		t.Fatal(err)
	}
	if n < 10 {
		t.Errorf("only %d documents", n)
	}
}

// What a slip of the pen makes of a file is found, each with the file's name.
func TestWhatIsBrokenIsFound(t *testing.T) {
	m, err := newManifests(definitions(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, old, new, want string }{
		{"an unknown field of the operator's", "kubernetes/cluster.yaml", "flinkVersion:", "flinkVersoin:", "flinkVersoin"},
		{"a release that the operator has not", "kubernetes/cluster.yaml", "v1_19", "v1_99", "v1_99"},
		{"a number where the operator wants text", "kubernetes/cluster.yaml", `rest.port: "8081"`, "rest.port: 8081", "rest.port"},
		{"an unknown field in the operator's pod", "kubernetes/cluster.yaml", "readinessProbe:", "readynessProbe:", "readynessProbe"},
		{"a wrong type in the operator's pod", "kubernetes/cluster.yaml", "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: soon", "terminationGracePeriodSeconds"},
		{"an unknown kind", "kubernetes/cluster.yaml", "kind: FlinkDeployment", "kind: FlinkDeploiment", "FlinkDeploiment"},
		{"an unknown field of a pod", "kubernetes/submit.yaml", "restartPolicy:", "restartPolicies:", "restartPolicies"},
		{"a wrong type in a pod", "kubernetes/submit.yaml", "readOnly: true", "readOnly: maybe", "readOnly"},
		{"a port that is no number", "kubernetes/network.yaml", "protocol: TCP", "protocol: [TCP]", "protocol"},
		{"a policy of another group", "kubernetes/disruption.yaml", "policy/v1", "policy/v9", "policy/v9"},
		{"an image without a tag", "kubernetes/doctor.yaml", "image: harrow-client:0.1.0", "image: harrow-client", "has no tag"},
		{"a file that is not there", "kubernetes/kustomization.yaml", "cluster.yaml", "clusters.yaml", "clusters.yaml"},
		{"an unknown field of the kustomization", "kubernetes/kustomization.yaml", "resources:", "resource:", "resource"},
		{"an unknown instruction", "Dockerfile", "WORKDIR /src", "WORKDIRR /src", "WORKDIRR"},
		{"a stage that is not there", "Dockerfile", "COPY --from=build /out/harrow", "COPY --from=built /out/harrow", "no stage is called that"},
		{"an image that runs as root", "Dockerfile", "USER 65532:65532\n", "", "runs as root"},
		{"an image that knows no user", "Dockerfile.client", " USER=harrow", "", "no ENV USER"},
		{"what the linter warns of", "Dockerfile", "bookworm AS build", "bookworm as build", "FromAsCasing"},
		{"a base without a tag", "Dockerfile.client", "FROM eclipse-temurin:17-jre", "FROM eclipse-temurin", "has no tag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(folder, c.file))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), c.old) {
				t.Fatalf("%s has no %q", c.file, c.old)
			}
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(folder, "kubernetes"))); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, filepath.Base(c.file))
			if err := os.WriteFile(path, []byte(strings.Replace(string(text), c.old, c.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, problems, err := checkFile(m, path)
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, p := range problems {
				all = append(all, p.Error())
			}
			if got := strings.Join(all, "\n"); !strings.Contains(got, c.want) || !strings.Contains(got, path) {
				t.Errorf("got %q, want %q and the file in it", got, c.want)
			}
		})
	}
}

func TestWithoutDefinitionsNothingIsRight(t *testing.T) {
	if _, err := check(t.TempDir(), folder); err == nil || !strings.Contains(err.Error(), "tools/setup") {
		t.Error(err)
	}
	if _, err := check(definitions(t), t.TempDir()); err == nil || !strings.Contains(err.Error(), "nothing to check") {
		t.Error(err)
	}
}
