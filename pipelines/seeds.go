package pipelines

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"

	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/seedfile"
)

// EachSeed hands out the canonical URL of every seed that the job file and its
// seed files name, sitemaps not. What is no URL is passed over: it becomes a
// reject of discover.
func EachSeed(ctx context.Context, job *Job, do func(canon.URL)) error {
	return eachSeed(ctx, job, job.Discover.Seeds.URLs, do)
}

// SeedHosts is the default scope: the hosts of all seeds, sitemaps too.
func SeedHosts(ctx context.Context, job *Job) ([]string, error) {
	hosts := map[string]bool{}
	err := eachSeed(ctx, job, slices.Concat(job.Discover.Seeds.URLs, job.Discover.Seeds.Sitemaps.URLs), func(u canon.URL) { hosts[u.Host()] = true })
	return slices.Sorted(maps.Keys(hosts)), err
}

func eachSeed(ctx context.Context, job *Job, urls []string, do func(canon.URL)) error {
	c, err := canon.New(canon.Policy{Strip: job.Discover.Canonical.Strip, SortQuery: job.Discover.Canonical.SortQuery})
	if err != nil {
		return err
	}
	seed := func(_ int, s seedfile.Seed) error {
		if u, err := c.Parse(s.URL); err == nil {
			do(u)
		}
		return nil
	}
	for _, text := range urls {
		_ = seed(0, seedfile.Seed{URL: text}) // it has no error
	}
	paths, err := job.Source.SeedFiles()
	if err != nil {
		return usage{err}
	}
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return usage{err}
		}
		err = seedfile.Each(ctx, p, f, seedfile.Taker{Seed: seed, Bad: func(int, string, string) error { return nil }})
		if err = errors.Join(err, f.Close()); err != nil {
			return usage{err}
		}
	}
	return nil
}
