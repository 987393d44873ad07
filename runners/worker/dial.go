package worker

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

// A runner's machine that is gone says nothing: no packet ends the connection.
// Left alone, the kernel notices after minutes or hours. gRPC's own pings are
// no help: servers close connections that ping more often than every 5 minutes.
const (
	silence    = 15 * time.Second // on an idle connection, until it is probed
	probeEvery = 5 * time.Second
	probes     = 3
	unanswered = silence + probes*probeEvery // what was sent, until the connection is given up
)

// dial stands for grpcx.Dial: all connections of a worker to its runner notice
// when the other side is gone, and none goes by way of an HTTP proxy.
func dial(ctx context.Context, endpoint string, timeout time.Duration, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	target := endpoint
	if !strings.Contains(endpoint, ":/") && !strings.HasPrefix(endpoint, "unix:") {
		target = "passthrough:///" + endpoint
	}
	conn, err := grpc.NewClient(target, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(connect),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", endpoint, err)
	}
	conn.Connect()
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return conn, nil
		}
		if state == connectivity.Idle {
			conn.Connect()
		}
		if !conn.WaitForStateChange(ctx, state) {
			_ = conn.Close() // it never was one
			return nil, fmt.Errorf("%s is not to be reached (%v): %w", endpoint, state, ctx.Err())
		}
	}
}

// telling is a connection's option: connected is called when a control stream
// has begun on it, from when on the runner notices when the worker ends, and i
// is told of the instructions that come over it.
func telling(connected func(), i *idle) grpc.DialOption {
	control := fmt.Sprintf("/%s/%s", fnpb.BeamFnControl_ServiceDesc.ServiceName, fnpb.BeamFnControl_ServiceDesc.Streams[0].StreamName)
	return grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := stream(ctx, desc, cc, method, opts...)
		if err == nil && method == control {
			connected()
			i.begin()
			s = controlStream{s, i}
		}
		return s, err
	})
}

// connect is what gRPC dials with: addresses of its resolvers.
func connect(ctx context.Context, addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", strings.TrimPrefix(path, "//")
	}
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence, Interval: probeEvery, Count: probes}, Control: giveUp}
	return d.DialContext(ctx, network, addr)
}
