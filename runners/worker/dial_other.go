//go:build !linux

package worker

import "syscall"

// giveUp: probes alone have to do here.
var giveUp func(network, address string, c syscall.RawConn) error
