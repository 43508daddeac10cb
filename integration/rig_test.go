package integration

import (
	"flag"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
)

// faultStores are the servers of a rig; without MongoDB the records are in
// PostgreSQL.
var faultStores = flag.String("fault-stores", "postgres,redis,mongo,kafka", "the servers of TestFaults")

func rigKinds() []string { return strings.Split(*faultStores, ",") }

// rig is two replicas of the program on four stores of their own, each behind a
// proxy.
type rig struct {
	t       *testing.T // the whole test's: a replica outlives the fault that brought it
	servers map[string]*teststack.Server
	proxies map[string]*teststack.Proxy
	lost    *teststack.LostReply // between the program and PostgreSQL's proxy
	at      place

	mu       sync.Mutex
	replicas [2]*server
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, servers: map[string]*teststack.Server{}, proxies: map[string]*teststack.Proxy{}}
	kinds := map[string]teststack.Kind{
		"postgres": teststack.PostgresServer, "redis": teststack.RedisServer,
		"mongo": teststack.MongoServer, "kafka": teststack.KafkaServer,
	}
	for _, name := range rigKinds() {
		public := teststack.FreeAddr(t) // a broker must know it before the proxy is there
		r.servers[name] = teststack.StartBehind(t, kinds[name], public)
		r.proxies[name] = teststack.NewProxy(t, public, r.servers[name].Addr)
	}
	r.lost = teststack.NewLostReply(t, r.proxies["postgres"].Addr, "COMMIT\x00")
	r.at = place{
		"--sealing-keys", testseal.Keyset, "--postgres", r.servers["postgres"].URLAt(r.lost.Addr),
		"--kafka", "kafka://" + r.proxies["kafka"].Addr + "/rig?replication=1&partitions=4",
	}
	if s := r.servers["redis"]; s != nil {
		r.at = append(r.at, "--redis", s.URLAt(r.proxies["redis"].Addr)+"?prefix=rig")
	}
	if s := r.servers["mongo"]; s != nil {
		r.at = append(r.at, "--mongo", s.URLAt(r.proxies["mongo"].Addr)+"/rig")
	}
	for i := range r.replicas {
		r.replicas[i] = r.start()
	}
	return r
}

// start starts a replica. Its tokens outlive a run and it knows no limits.
func (r *rig) start() *server {
	r.t.Helper()
	return start(r.t, r.at, "--access-token-ttl", "1h", "--rate-limit", "0", "--sign-in-limit", "0", "--access-log=false")
}

func (r *rig) replica(i int) *server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replicas[i]
}

// replace ends the second replica and starts another in its place.
func (r *rig) replace(end func(*server)) {
	r.t.Helper()
	end(r.replica(1))
	s := r.start()
	r.mu.Lock()
	r.replicas[1] = s
	r.mu.Unlock()
}

// killAmidRebalance starts a third replica, whose consumers join the groups, and
// kills the second while the partitions move.
func (r *rig) killAmidRebalance() {
	r.t.Helper()
	third := r.start()
	r.mu.Lock()
	second := r.replicas[1]
	r.replicas[1] = third
	r.mu.Unlock()
	time.Sleep(100 * time.Millisecond) // joins are under way
	second.kill()
}

// topic is where an observer of the rig listens.
func (r *rig) brokers() (addr, topic string) { return r.proxies["kafka"].Addr, "rig" }
