package main

import (
	"errors"
	"os"
	"runtime/pprof"
	"time"

	"github.com/harrowdata/harrow/internal/html5/pages"
)

// profiled has Harrow read products of 30 KB with their fields for some seconds
// and writes a profile of it.
func profiled(file string) (err error) {
	l := loaded{}
	for i := range full.pages {
		l.pages = append(l.pages, pages.Make(pages.Product, targetKB*1000, seed+uint64(i)).HTML)
	}
	if l.parser, err = newHarrow(pages.Product.Fields()); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = l.measure(true, 5*time.Second)
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}
