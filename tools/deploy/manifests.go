package main

import (
	"fmt"
	"os"
	"regexp"

	"k8s.io/client-go/openapi"
	"sigs.k8s.io/kubectl-validate/pkg/openapiclient"
	"sigs.k8s.io/kubectl-validate/pkg/utils"
	"sigs.k8s.io/kubectl-validate/pkg/validator"
)

// kubernetes is the release whose schemas manifests are held to: the newest
// that the validator carries with it.
const kubernetes = "1.30"

// manifests validates as the API server would, from files alone.
type manifests struct{ validator *validator.Validator }

func newManifests(crds string) (*manifests, error) {
	local := openapiclient.NewLocalCRDFiles(os.DirFS(crds))
	paths, err := local.Paths()
	if err != nil {
		return nil, fmt.Errorf("resource definitions: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("resource definitions: %s has none; tools/setup fetches them", crds)
	}
	v, err := validator.New(openapiclient.NewComposite(local, builtins()))
	return &manifests{v}, err
}

// builtins are Kubernetes' own schemas, with what the validator mends in them.
func builtins() openapi.Client {
	return openapiclient.NewOverlay(openapiclient.HardcodedPatchLoader(kubernetes), openapiclient.NewHardcodedBuiltins(kubernetes))
}

// image finds images by their names.
var image = regexp.MustCompile(`(?m)^\s*(?:- )?image:\s*(\S+)`)

// check validates each document of a file.
func (m *manifests) check(data []byte) (checked int, problems []error) {
	documents, err := utils.SplitYamlDocuments(data)
	if err != nil {
		return 0, []error{err}
	}
	for i, doc := range documents {
		if utils.IsEmptyYamlDocument(doc) {
			continue
		}
		checked++
		_, object, err := m.validator.Parse(doc)
		if err == nil {
			err = m.validator.Validate(object)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("document %d: %w", i+1, err))
		}
	}
	for _, found := range image.FindAllSubmatch(data, -1) {
		if !tagged(string(found[1])) {
			problems = append(problems, fmt.Errorf("image %s has no tag; expected one, and not latest", found[1]))
		}
	}
	return checked, problems
}
