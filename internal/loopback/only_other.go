//go:build !linux

package loopback

import "errors"

// Only closes the TCP ports of a process to other machines, on Linux. Here it
// returns an error: what listens on all addresses does.
func Only(int, ...string) error { return errors.ErrUnsupported }
