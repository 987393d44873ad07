// Package demo carries the demo's job file.
package demo

import _ "embed"

// JobFile is shop.yaml: the job that `harrow demo` runs, with one parameter,
// site.
//
//go:embed shop.yaml
var JobFile []byte
