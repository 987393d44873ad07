package worker

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAConnectionNoticesThatItsOtherSideIsGone(t *testing.T) {
	r := newRunner(t)
	conn, err := connect(t.Context(), r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for _, c := range []struct {
			name                string
			level, option, want int
		}{
			{"keep-alive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"idle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{"interval", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
			{"count", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
			{"user time-out", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000},
		} {
			if got, err := unix.GetsockoptInt(int(fd), c.level, c.option); err != nil || got != c.want {
				t.Errorf("%s: %d (%v), want %d", c.name, got, err, c.want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
