package cluster

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/harrowdata/harrow/soak/rig"
)

func TestMain(m *testing.M) {
	// The jars that make setup installs, for the tests and for the commands
	// that they start.
	if root, err := filepath.Abs("../.."); err == nil && os.Getenv("HARROW_CACHE") == "" {
		_ = os.Setenv("HARROW_CACHE", filepath.Join(root, ".build", "cache")) // no name can be wrong
	}
	rig.Main(m)
}

const (
	// patience is how long any one command may take, on a machine that does
	// other things too.
	patience = 5 * time.Minute
	// settling is how long processes may take to end once nobody needs them: a
	// worker that its runner has forgotten waits a minute for an instruction.
	settling = 100 * time.Second
)

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", loopback+":"+strconv.Itoa(port))
}
