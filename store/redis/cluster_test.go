package redis_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	goredis "github.com/redis/go-redis/v9"
	"github.com/testcontainers/testcontainers-go"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/store/storetest"
)

// startCluster starts three nodes in one container, where they reach each other
// by the addresses that the test reaches them by, and returns the ports.
func startCluster(t *testing.T) []string {
	t.Helper()
	server(t) // without containers the test is skipped
	ports := freePorts(t, 3)
	var exposed, commands []string
	bindings := make(network.PortMap)
	for i, port := range ports {
		exposed = append(exposed, port+"/tcp")
		commands = append(commands, fmt.Sprintf(
			"redis-server --port %s --cluster-port %d --cluster-enabled yes --cluster-config-file nodes-%s.conf"+
				" --cluster-announce-ip 127.0.0.1 --protected-mode no --save ''", port, busPort+i, port))
		bindings[network.MustParsePort(port+"/tcp")] = []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: port}}
	}
	c, err := testcontainers.Run(context.Background(), cmp.Or(os.Getenv("PLATFORM_TEST_REDIS_IMAGE"), "redis:8-alpine"),
		testcontainers.WithExposedPorts(exposed...),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) { hc.PortBindings = bindings }),
		testcontainers.WithCmd("sh", "-c", strings.Join(commands, " & ")))
	testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	join(t, ports)
	return ports
}

// busPort is the first of the ports by which the nodes speak with each other,
// inside the container.
const busPort = 17000

func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n { // all are chosen before one is free again
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

// join makes one cluster of the nodes.
func join(t *testing.T, ports []string) {
	t.Helper()
	do := func(port string, args ...any) string {
		c := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
		defer c.Close()
		answer, err := c.Do(t.Context(), args...).Text()
		if err != nil {
			return err.Error()
		}
		return answer
	}
	for i, port := range ports {
		until(t, "a node answers", func() bool { return do(port, "PING") == "PONG" })
		first, last := i*16384/len(ports), (i+1)*16384/len(ports)-1
		if answer := do(port, "CLUSTER", "ADDSLOTSRANGE", first, last); answer != "OK" {
			t.Fatal(answer)
		}
		if answer := do(port, "CLUSTER", "SET-CONFIG-EPOCH", i+1); answer != "OK" {
			t.Fatal(answer)
		}
	}
	for i, port := range ports[1:] {
		if answer := do(ports[0], "CLUSTER", "MEET", "127.0.0.1", port, busPort+1+i); answer != "OK" {
			t.Fatal(answer)
		}
	}
	for _, port := range ports {
		until(t, "the nodes know each other", func() bool {
			info := do(port, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
}

func TestCluster(t *testing.T) {
	ports := startCluster(t)
	url := "redis://127.0.0.1:" + ports[0] + "?addr=127.0.0.1:" + ports[1]
	openCluster := func(tb testing.TB, prefix string) *redis.Client {
		return openWith(tb, redis.Config{URL: url, Cluster: true, Prefix: prefix})
	}
	t.Run("Cache", func(t *testing.T) {
		storetest.Cache(t, func(tb testing.TB) storetest.CacheStore {
			return storetest.CacheStore{Cache: openCluster(tb, newPrefix()).Cache(), Advance: time.Sleep}
		})
	})
	t.Run("PubSub", func(t *testing.T) {
		storetest.PubSub(t, func(tb testing.TB) store.PubSub { return openCluster(tb, newPrefix()).PubSub() })
	})
	t.Run("KeysAreOnAllNodes", func(t *testing.T) {
		c := openCluster(t, newPrefix()).Cache()
		var keys []string
		for i := range 300 {
			keys = append(keys, fmt.Sprint("k", i))
			set(t, c, acme, keys[i], "v")
		}
		for _, port := range ports {
			node := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
			defer node.Close()
			if n, err := node.DBSize(t.Context()).Result(); n < 50 || err != nil {
				t.Errorf("a node has %d keys, %v", n, err)
			}
		}
		if err := c.Delete(t.Context(), acme, keys...); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			wantNone(t, c, acme, key)
		}
	})
	// Each client listens at one node and publishes at others.
	t.Run("MessagesReachAllNodes", func(t *testing.T) {
		prefix := newPrefix()
		var subs []store.Subscription
		for range 8 {
			subs = append(subs, subscribe(t, openCluster(t, prefix).PubSub(), "topic"))
		}
		for i := range 30 {
			publish(t, openCluster(t, prefix).PubSub(), "topic", fmt.Sprint(i))
			for _, s := range subs {
				if m := receive(t, s); string(m.Payload) != fmt.Sprint(i) || m.Dropped != 0 {
					t.Errorf("message %d is %q after %d dropped", i, m.Payload, m.Dropped)
				}
			}
		}
	})
	t.Run("AccessList", func(t *testing.T) {
		prefix := newPrefix()
		for _, port := range ports {
			node := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
			defer node.Close()
			restrict(t, node, prefix, "+cluster", "+command")
		}
		own := strings.Replace(url, "redis://", "redis://"+prefix+":pass@", 1)
		c := openWith(t, redis.Config{URL: own, Cluster: true, Prefix: prefix})
		for name, call := range methods(c) {
			if err := call(t.Context(), acme); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	// One unreachable node of the URL is no harm.
	t.Run("OneAddressIsWrong", func(t *testing.T) {
		bad := "redis://127.0.0.1:1?addr=127.0.0.1:" + ports[2]
		c := openWith(t, redis.Config{URL: bad, Cluster: true, Prefix: newPrefix()})
		set(t, c.Cache(), acme, "k", "v")
		want(t, c.Cache(), acme, "k", "v")
	})
}
