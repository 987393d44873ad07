// Command install fetches the jars that tests with Flink need, as harrow flink
// install does, into the folder that is named. It needs no Beam, so it is built
// in seconds.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/harrowdata/harrow/internal/flink"
)

func main() {
	ctx, done := signal.NotifyContext(context.Background(), os.Interrupt)
	defer done()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "want the cache folder")
		os.Exit(2)
	}
	if _, err := flink.Install(ctx, flink.Config{Cache: os.Args[1], Log: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
