// Package view shows what is in a workspace, as tables, lists and lines of
// text: what the commands cat, ls and rejects print, the summary of a run and
// its progress. It only reads, it never makes a workspace, and it knows
// nothing of Beam.
//
// What servers and sites wrote reaches a terminal only through [Printable] or
// as JSON whose control characters are escaped.
package view

import (
	"errors"
	"fmt"
)

// ErrUsage: what was asked for is not there or makes no sense. The error's
// text says what would.
var ErrUsage = errors.New("usage")

// usage is an error that is ErrUsage without saying so.
type usage struct{ error }

func (usage) Is(target error) bool { return target == ErrUsage }

func (u usage) Unwrap() error { return u.error }

// Usagef makes an error that is [ErrUsage].
func Usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }
