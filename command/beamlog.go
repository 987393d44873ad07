package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	"github.com/harrowdata/harrow/command/view"
)

// beamLog passes on what Beam has to say, from a severity on.
type beamLog struct {
	w    io.Writer
	from log.Severity
}

// Log implements Beam's logger.
func (l beamLog) Log(_ context.Context, sev log.Severity, _ int, msg string) {
	if sev >= l.from {
		fmt.Fprintf(l.w, "beam: %s\n", view.Printable(strings.TrimSpace(msg)))
	}
}

// quietBeam keeps the runner's own log from the progress line. HARROW_DEBUG
// lets all of it through. What goes wrong comes back as the run's error.
func quietBeam(w io.Writer) {
	l := beamLog{w, log.SevFatal}
	if os.Getenv("HARROW_DEBUG") != "" {
		l.from = log.SevUnspecified
	} else {
		slog.SetDefault(slog.New(slog.DiscardHandler)) // Prism's; beam.Init made it loud
	}
	log.SetLogger(l)
}
