package dataflow

import (
	"testing"

	"github.com/harrowdata/harrow/soak/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
