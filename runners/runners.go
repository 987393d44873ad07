// Package runners is how a pipeline reaches a machine. It knows no transform.
package runners

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
)

// Default is the runner that a run uses unless told otherwise.
const Default = "direct"

// Names lists the runners that are built.
func Names() []string { return []string{"direct", "prism"} }

// Execute runs the pipeline to its end. An error says which bundle failed;
// what the run has committed stays.
func Execute(ctx context.Context, name string, p *beam.Pipeline) error {
	var err error
	switch name {
	case "direct":
		_, err = direct.Execute(ctx, p)
	case "prism":
		err = executePrism(ctx, p)
	default:
		return fmt.Errorf("runner %q is not built; want one of %v", name, Names())
	}
	if err != nil {
		return failure{err}
	}
	return nil
}

// failure is a runner's error that says only what went wrong: Beam wraps it
// into the plan of the whole pipeline.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func (f failure) Error() string {
	text := f.error.Error()
	if i := strings.LastIndex(text, causedBy); i >= 0 {
		text = text[i+len(causedBy):]
	}
	return strings.TrimSpace(text)
}

const causedBy = "caused by:"
