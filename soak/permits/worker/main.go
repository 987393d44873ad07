// Command worker is a worker process of a round of fetch without the runner: it
// is told a round's config and the requests of some fetch shards on its
// standard input, as JSON, and runs them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/harrowdata/harrow"
	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/fetch/round"
)

// work is what it is told.
type work struct {
	Config round.Config
	Shards []shard
}

type shard struct {
	Number   int
	Requests []harrow.Request
}

func main() {
	var w work
	err := json.NewDecoder(os.Stdin).Decode(&w)
	if err == nil {
		err = w.run(context.Background())
	}
	if err != nil {
		fmt.Println("error:", err)
		if errors.Is(err, round.ErrStopped) {
			os.Exit(3)
		}
		os.Exit(1)
	}
}

// run does what a bundle does: it admits all shards, then it waits for all.
func (w work) run(ctx context.Context) (err error) {
	p, err := round.Join(ctx, w.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var admitted []*round.Admission
	for _, s := range w.Shards {
		a, err := p.Admit(ctx, s.Number, func(_ context.Context, _ lakeio.Lake, yield func(harrow.Request) error) error {
			for _, r := range s.Requests {
				if err := yield(r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Println("admitted", s.Number)
		admitted = append(admitted, a)
	}
	for i, a := range admitted {
		if _, err := a.Wait(ctx); err != nil {
			return err
		}
		fmt.Println("done", w.Shards[i].Number)
	}
	return nil
}
