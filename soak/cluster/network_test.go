package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/soak/rig"
)

// network is a bridge with an address of this machine's, to which machines in
// network namespaces are connected.
type network struct {
	t       *testing.T
	bridge  string
	subnet  string // the first three bytes of its addresses
	address string // this machine's in it
	count   int
}

// newNetwork makes one until the test ends. Where that can't be, the test is
// skipped, or fails, see [rig.Missing].
func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Getuid() != 0 {
		rig.Missing(t, "network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		rig.Missing(t, "network namespaces: %v; make setup installs iproute2", err)
	}
	n := &network{t: t, bridge: fmt.Sprintf("hw%d", os.Getpid())}
	n.subnet = freeSubnet(t)
	n.address = n.subnet + ".1"
	if err := ip("link", "add", n.bridge, "type", "bridge"); err != nil {
		rig.Missing(t, "network namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := ip("link", "delete", n.bridge); err != nil {
			t.Error(err)
		}
	})
	n.must("addr", "add", n.address+"/24", "dev", n.bridge)
	n.must("link", "set", n.bridge, "up")
	return n
}

// freeSubnet finds addresses that no interface here has.
func freeSubnet(t *testing.T) string {
	t.Helper()
	used, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
next:
	for i := range 250 {
		subnet := fmt.Sprintf("10.213.%d", (os.Getpid()+i)%250)
		for _, a := range used {
			if strings.HasPrefix(a.String(), subnet+".") {
				continue next
			}
		}
		return subnet
	}
	t.Fatal("no free subnet in 10.213.0.0/16")
	return ""
}

// machine makes one in a network namespace of its own, with the next address.
func (n *network) machine(name string) *machine {
	n.t.Helper()
	n.count++
	m := newMachine(n.t, name)
	m.namespace, m.address = fmt.Sprintf("%s-%d", n.bridge, n.count), fmt.Sprintf("%s.%d", n.subnet, n.count+1)
	if err := ip("netns", "add", m.namespace); err != nil {
		rig.Missing(n.t, "network namespaces: %v", err)
	}
	n.t.Cleanup(func() {
		if err := ip("netns", "delete", m.namespace); err != nil {
			n.t.Error(err)
		}
	})
	here := fmt.Sprintf("%sv%d", n.bridge, n.count)
	if err := ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", m.namespace); err != nil {
		rig.Missing(n.t, "network namespaces: %v", err)
	}
	n.must("link", "set", here, "master", n.bridge, "up")
	n.must("-n", m.namespace, "addr", "add", m.address+"/24", "dev", "eth0")
	n.must("-n", m.namespace, "link", "set", "eth0", "up")
	n.must("-n", m.namespace, "link", "set", "lo", "up")
	return m
}

func (n *network) must(args ...string) {
	n.t.Helper()
	if err := ip(args...); err != nil {
		n.t.Fatal(err)
	}
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// forward makes a server on loopback reachable at this machine's address in the
// network, on a port of its own, until the test ends; it returns that address.
func (n *network) forward(to string) string {
	n.t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(n.address, "0"))
	if err != nil {
		n.t.Fatal(err)
	}
	f := &forwarder{listener: listener, to: to, open: map[net.Conn]bool{}}
	f.done.Go(f.serve)
	n.t.Cleanup(func() {
		if err := f.close(); err != nil {
			n.t.Error(err)
		}
	})
	return listener.Addr().String()
}

// The other tests here would prove nothing if machines shared a loopback.
func TestAMachineReachesThisOneByItsAddressOnly(t *testing.T) {
	n := newNetwork(t)
	a, b := n.machine("a"), n.machine("b")
	s := crowdSite(t, loopback, 0)
	forwarded := n.forward(s.addr)
	reaches := func(m *machine, address string) bool {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("bash", "-c", fmt.Sprintf(`exec 3<>/dev/tcp/%s/%s && printf 'GET /robots.txt HTTP/1.0\r\nHost: a.example\r\n\r\n' >&3 && head -n 1 <&3`, host, port))
		m.wrap(cmd)
		out, err := cmd.CombinedOutput()
		if err == nil && !strings.HasPrefix(string(out), "HTTP/1.") {
			t.Errorf("%s: %s answers %q", m.name, address, out)
		}
		return err == nil
	}
	for _, m := range []*machine{a, b} {
		if !reaches(m, forwarded) {
			t.Errorf("%s does not reach %s", m.name, forwarded)
		}
		if reaches(m, s.addr) {
			t.Errorf("%s reaches %s, which is on this machine's loopback", m.name, s.addr)
		}
	}
	if from := s.askers()["a.example"]; len(from) != 1 || from[0] != loopback {
		t.Errorf("the site was asked from %v", from)
	}
}
