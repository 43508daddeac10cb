package teststack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// startTime bounds the start of a server, its image's download included.
const startTime = 5 * time.Minute

// Server is a server in a container of its own. Its address stays the same
// over restarts. Its methods fail the test on an error.
type Server struct {
	// Addr is host:port.
	Addr string
	kind Kind
	c    testcontainers.Container
}

// Kind is a sort of server.
type Kind struct {
	name, image, port string
	env               func(addr string) map[string]string
	cmd               []string
	ready             func(addr string) wait.Strategy
}

// Start starts a server of the test's own, which ends with the test. It keeps
// its data over [Server.Stop] and [Server.Kill], and forces what it
// acknowledges to the disk where the kind has that.
func Start(tb testing.TB, kind Kind) *Server {
	tb.Helper()
	return StartBehind(tb, kind, "")
}

// StartBehind is [Start] for a server that clients reach at public, the address
// of a proxy: a broker tells it to its clients. Empty is the server's own.
func StartBehind(tb testing.TB, kind Kind, public string) *Server {
	tb.Helper()
	s, err := kind.start(context.Background(), public)
	if err != nil {
		Skip(tb, kind.name, err.Error())
	}
	tb.Cleanup(func() {
		if err := s.end(); err != nil {
			tb.Errorf("teststack: %s: %v", kind.name, err)
		}
	})
	return s
}

func (k Kind) start(ctx context.Context, public string, extra ...testcontainers.ContainerCustomizer) (*Server, error) {
	if err := engine(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{kind: k, Addr: net.JoinHostPort("127.0.0.1", port)}
	image := k.imageName()
	note("image\t%s\t%s\t%s", k.name, image, k.Flavour())
	opts := []testcontainers.ContainerCustomizer{
		testcontainers.WithLogger(quiet{}),
		testcontainers.WithExposedPorts(k.port),
		testcontainers.WithHostConfigModifier(fixPort(k.port, port)),
		testcontainers.WithWaitStrategyAndDeadline(startTime, k.ready(s.Addr)),
	}
	if k.env != nil {
		opts = append(opts, testcontainers.WithEnv(k.env(cmp.Or(public, s.Addr))))
	}
	if k.cmd != nil {
		opts = append(opts, testcontainers.WithCmd(k.cmd...))
	}
	s.c, err = testcontainers.Run(ctx, image, append(opts, extra...)...)
	if err != nil {
		if s.c != nil {
			err = errors.Join(err, s.end())
		}
		return nil, fmt.Errorf("start %s: %w", image, err)
	}
	return s, nil
}

// quiet keeps what testcontainers does out of the tests' output.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Direct is an address of the server that the engine does not forward, for
// figures: forwarding takes as much of the machine as the server. It is lost with
// a restart. Where containers cannot be reached it is Addr.
func (s *Server) Direct(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Second)
	defer cancel()
	ip, err := s.c.ContainerIP(ctx)
	if err != nil || ip == "" {
		return s.Addr
	}
	port, _, _ := strings.Cut(s.kind.port, "/")
	direct := net.JoinHostPort(ip, port)
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", direct)
	if err != nil {
		return s.Addr
	}
	c.Close()
	return direct
}

// fixPort binds a port of the container to one of the host, so that the address
// survives a restart.
func fixPort(inside, host string) func(*container.HostConfig) {
	return func(hc *container.HostConfig) {
		hc.PortBindings = network.PortMap{
			network.MustParsePort(inside): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: host}},
		}
	}
}

// FreeAddr returns an address of this machine that nobody listens on.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// freePort returns a port below those that systems hand out by themselves, so
// that no connection takes it before the server does.
func freePort() (string, error) {
	var err error
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return port, l.Close()
		}
	}
	return "", err
}

// engine reports why there is no container engine.
func engine(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil { // testcontainers panics where it finds none
			err = fmt.Errorf("no container engine: %v", p)
		}
	}()
	provider, err := testcontainers.ProviderDocker.GetProvider()
	if err != nil {
		return fmt.Errorf("no container engine: %w", err)
	}
	defer provider.Close()
	if err := provider.Health(ctx); err != nil {
		return fmt.Errorf("no container engine: %w", err)
	}
	return nil
}

func (s *Server) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return testcontainers.TerminateContainer(s.c, testcontainers.StopContext(ctx), testcontainers.StopTimeout(0))
}

// Stop stops the server in order, with 10 s for it.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	timeout := 10 * time.Second
	s.do(tb, "stop", func(ctx context.Context) error { return s.c.Stop(ctx, &timeout) })
}

// Start starts a server that was stopped or killed and waits until it is ready.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	s.do(tb, "start", s.c.Start)
}

// Kill ends the server with SIGKILL.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.docker(tb, "kill", func(ctx context.Context, c *testcontainers.DockerClient) error {
		_, err := c.ContainerKill(ctx, s.c.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"})
		return err
	})
	// Killed is not yet gone: Start would find it running.
	timeout := 10 * time.Second
	s.do(tb, "kill", func(ctx context.Context) error { return s.c.Stop(ctx, &timeout) })
}

// Pause freezes the server: connections stay open and nothing answers.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.docker(tb, "pause", func(ctx context.Context, c *testcontainers.DockerClient) error {
		_, err := c.ContainerPause(ctx, s.c.GetContainerID(), client.ContainerPauseOptions{})
		return err
	})
}

// Unpause lets a paused server go on.
func (s *Server) Unpause(tb testing.TB) {
	tb.Helper()
	s.docker(tb, "unpause", func(ctx context.Context, c *testcontainers.DockerClient) error {
		_, err := c.ContainerUnpause(ctx, s.c.GetContainerID(), client.ContainerUnpauseOptions{})
		return err
	})
}

func (s *Server) docker(tb testing.TB, what string, f func(context.Context, *testcontainers.DockerClient) error) {
	tb.Helper()
	s.do(tb, what, func(ctx context.Context) error {
		c, err := testcontainers.NewDockerClientWithOpts(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return f(ctx, c)
	})
}

func (s *Server) do(tb testing.TB, what string, f func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := f(ctx); err != nil {
		tb.Fatalf("teststack: %s %s: %v", what, s.kind.name, err)
	}
}
