// Command deploy holds what is in deploy/ to the schemas of those who read it,
// without any of them: the manifests to Kubernetes' own schemas and to the
// resource definitions of Flink's operator, unknown fields and wrong types
// included; the kustomization to the files that are there; and the Dockerfiles
// to BuildKit's parser and linter.
//
//	go run . -crds FOLDER DEPLOY
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	crds := flag.String("crds", "", "folder of resource definitions (*.yml)")
	flag.Parse()
	if *crds == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: deploy -crds FOLDER DEPLOY")
		os.Exit(2)
	}
	checked, err := check(*crds, flag.Arg(0))
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprint(os.Stderr, "deploy: "+line)
		}
		fmt.Fprintln(os.Stderr)
		os.Exit(1)
	}
	fmt.Printf("deploy: %d documents are right\n", checked)
}

// check reads everything in a folder and returns how many documents were held
// to a schema; each problem names its file.
func check(crds, folder string) (checked int, err error) {
	m, err := newManifests(crds)
	if err != nil {
		return 0, err
	}
	var problems []error
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n, found, err := checkFile(m, path)
		checked += n
		problems = append(problems, found...)
		return err
	})
	if err == nil && checked == 0 {
		err = fmt.Errorf("%s: nothing to check", folder)
	}
	return checked, errors.Join(append(problems, err)...)
}

// checkFile holds one file to what reads it.
func checkFile(m *manifests, path string) (checked int, problems []error, err error) {
	name, ext := filepath.Base(path), filepath.Ext(path)
	if ext != ".yaml" && ext != ".yml" && !strings.HasPrefix(name, "Dockerfile") || ext == ".dockerignore" {
		return 0, nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, err
	}
	switch {
	case strings.HasPrefix(name, "Dockerfile"):
		checked, problems = 1, dockerfile(data)
	case name == "kustomization.yaml":
		checked, problems = 1, kustomization(filepath.Dir(path), data)
	case name == jobFile:
		// Harrow's own tests hold job files to their schema.
	default:
		checked, problems = m.check(data)
	}
	for i, p := range problems {
		problems[i] = fmt.Errorf("%s: %w", path, p)
	}
	return checked, problems, nil
}

// jobFile is what job files are called there.
const jobFile = "job.yaml"
