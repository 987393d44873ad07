// Package quiet makes Beam ready for a benchmark. It is apart from measure so that
// a benchmark without Beam builds in seconds.
package quiet

import (
	"context"
	"log/slog"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// Beam makes Beam ready and keeps it quiet: what goes wrong comes back as
// an error.
func Beam() {
	beam.Init()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	log.SetLogger(silent{})
}

type silent struct{}

// Log implements Beam's logger.
func (silent) Log(context.Context, log.Severity, int, string) {}
