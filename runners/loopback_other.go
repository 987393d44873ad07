//go:build !linux

package runners

import "errors"

// onlyLoopback: what listens on all addresses does so here.
func onlyLoopback(int) error { return errors.ErrUnsupported }
