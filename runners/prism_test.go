package runners

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

var begun, release = make(chan struct{}), make(chan struct{})

// hold is a bundle that hears of nothing, as one does whose runner gave up.
func hold(b []byte, emit func([]byte)) {
	begun <- struct{}{}
	<-release
	emit(b)
}

func init() {
	register.Function2x0(hold)
	register.Emitter1[[]byte]()
}

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(m.Run())
}

func TestARunThatIsGivenUpLeavesNoJobInPrism(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo(s, hold, beam.Impulse(s))
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	go func() { <-begun; giveUp() }()
	defer func() { release <- struct{}{} }()
	if _, err := Execute(ctx, "prism", p, Options{}); err == nil {
		t.Fatal("the run came to an end, though its bundle did not")
	}
	executes := []byte("prism/internal.(*stage).Execute")
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if !bytes.Contains(stacks[:runtime.Stack(stacks, true)], executes) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("Prism goes on executing the stage")
		}
	}
}

// Prism starts workers beside the job: of one that is cancelled at once the
// workers' pool is gone before.
func TestRunsThatAreGivenUpAtOnceLeavePrismAlive(t *testing.T) {
	for i := range 50 {
		p, s := beam.NewPipelineWithRoot()
		beam.Impulse(s)
		ctx, giveUp := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		_, _ = Execute(ctx, "prism", p, Options{}) // some come to an end before
		giveUp()
	}
}

func TestOtherMachinesDontReachPrism(t *testing.T) {
	service, err := startPrism()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if service.warn(&said); said.Len() > 0 {
		t.Error(said.String())
	}
}
