//go:build !linux

package lakeio

import "time"

// sinceBoot stands still where package time's clock does, while the machine
// sleeps.
func sinceBoot() time.Duration { return time.Since(began) }

var began = time.Now()
