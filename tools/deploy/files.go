package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"sigs.k8s.io/yaml"
)

// dockerfile parses every instruction and reports what BuildKit's linter warns
// of, stages that run as root, and base images without a tag.
func dockerfile(data []byte) (problems []error) {
	tree, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return []error{err}
	}
	warn := func(rule, _, _, message string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		problems = append(problems, fmt.Errorf("line %d: %s: %s", line, rule, message))
	}
	stages, args, err := instructions.Parse(tree.AST, linter.New(&linter.Config{Warn: warn}))
	if err != nil {
		return append(problems, err)
	}
	known := map[string]bool{"scratch": true}
	defaults := map[string]string{}
	for _, a := range args {
		for _, kv := range a.Args {
			defaults["${"+kv.Key+"}"] = kv.ValueString()
		}
	}
	for _, s := range stages {
		base := s.BaseName
		for name, value := range defaults {
			base = strings.ReplaceAll(base, name, value)
		}
		if !known[base] && !tagged(base) {
			problems = append(problems, fmt.Errorf("FROM %s has no tag; expected one, and not latest", base))
		}
		for _, c := range s.Commands {
			if cp, ok := c.(*instructions.CopyCommand); ok && cp.From != "" && !known[cp.From] {
				problems = append(problems, fmt.Errorf("COPY --from=%s: no stage is called that", cp.From))
			}
		}
		known[s.Name] = true
	}
	for _, name := range []string{"USER", "HOME"} {
		if !sets(stages[len(stages)-1], name) {
			problems = append(problems, fmt.Errorf("the image has no ENV %s: Beam's Go SDK panics where neither that nor /etc/passwd knows the user", name))
		}
	}
	if last := stages[len(stages)-1]; user(last) == "" || user(last) == "root" || strings.HasPrefix(user(last), "0") {
		problems = append(problems, errors.New("the image runs as root; expected USER"))
	}
	return problems
}

// sets reports whether a stage sets a variable of its environment.
func sets(s instructions.Stage, name string) bool {
	for _, c := range s.Commands {
		if e, ok := c.(*instructions.EnvCommand); ok && slices.ContainsFunc(e.Env, func(kv instructions.KeyValuePair) bool { return kv.Key == name }) {
			return true
		}
	}
	return false
}

// user is who a stage's command runs as.
func user(s instructions.Stage) (name string) {
	for _, c := range s.Commands {
		if u, ok := c.(*instructions.UserCommand); ok {
			name = u.User
		}
	}
	return name
}

// tagged reports whether an image's name says which.
func tagged(image string) bool {
	rest := image[strings.LastIndex(image, "/")+1:]
	_, tag, ok := strings.Cut(rest, ":")
	return ok && tag != "" && tag != "latest"
}

// resources is what a kustomization has here.
type resources struct {
	APIVersion         string              `json:"apiVersion"`
	Kind               string              `json:"kind"`
	Namespace          string              `json:"namespace"`
	Resources          []string            `json:"resources"`
	ConfigMapGenerator []generator         `json:"configMapGenerator"`
	GeneratorOptions   map[string]any      `json:"generatorOptions"`
	Labels             []map[string]any    `json:"labels"`
	Images             []map[string]string `json:"images"`
}

type generator struct {
	Name  string   `json:"name"`
	Files []string `json:"files"`
}

// kustomization verifies that what it names is there.
func kustomization(folder string, data []byte) (problems []error) {
	var k resources
	if err := yaml.UnmarshalStrict(data, &k); err != nil {
		return []error{err}
	}
	if k.APIVersion != "kustomize.config.k8s.io/v1beta1" || k.Kind != "Kustomization" {
		problems = append(problems, fmt.Errorf("apiVersion %q, kind %q; expected kustomize.config.k8s.io/v1beta1, Kustomization", k.APIVersion, k.Kind))
	}
	names := k.Resources
	for _, g := range k.ConfigMapGenerator {
		names = append(names, g.Files...)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}
