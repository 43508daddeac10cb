package integration

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/teststack"
)

var (
	faultTimes  = flag.Int("faults", 1, "how often TestFaults makes each fault")
	faultOutage = flag.Duration("outage", 3*time.Second, "how long a server is away in TestFaults")
)

// slowRecovery is from when on a recovery is worth a look into the logs.
const slowRecovery = 10 * time.Second

// fault is something that goes wrong and is over when make returns.
type fault struct {
	name string
	make func(t *testing.T, r *rig)
}

// faults are made one after the other under load.
func faults() []fault {
	all := []fault{
		{"process killed", func(_ *testing.T, r *rig) { r.replace((*server).kill) }},
		{"consumer killed in a rebalance", func(_ *testing.T, r *rig) { r.killAmidRebalance() }},
		{"commits whose answer is lost", func(t *testing.T, r *rig) {
			r.lost.Arm(5)
			before := r.lost.Lost()
			eventually(t, "lost answers", func() bool { return r.lost.Lost() >= before+5 })
		}},
		{"postgres killed", func(t *testing.T, r *rig) {
			s := r.servers["postgres"]
			s.Kill(t)
			s.Start(t)
		}},
	}
	for _, name := range rigKinds() {
		all = append(all,
			fault{name + " stopped", func(t *testing.T, r *rig) {
				r.servers[name].Stop(t)
				time.Sleep(*faultOutage)
				r.servers[name].Start(t)
			}},
			fault{name + " paused", func(t *testing.T, r *rig) {
				r.servers[name].Pause(t)
				time.Sleep(*faultOutage)
				r.servers[name].Unpause(t)
			}},
			fault{name + " cut off", func(t *testing.T, r *rig) {
				r.proxies[name].Cut()
				time.Sleep(*faultOutage)
				r.proxies[name].Restore(t)
			}},
			fault{name + " slow", func(t *testing.T, r *rig) {
				r.proxies[name].Slow(t, 40*time.Millisecond)
				time.Sleep(*faultOutage)
				r.proxies[name].Fast()
			}},
		)
	}
	return all
}

// TestFaults runs two replicas of the program on the four stores, under load, and
// lets go wrong what can, one thing after the other. Afterwards nothing that was
// acknowledged is lost, no effect is doubled, and each subject's events came in
// order.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	r := newRig(t)
	load := r.load(t)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			var worst time.Duration
			for n := range *faultTimes {
				load.settle(t)
				f.make(t, r)
				took := load.recovered(t, fmt.Sprintf("%s-%d", strings.ReplaceAll(f.name, " ", "-"), n))
				worst = max(worst, took)
				t.Logf("%s %d: recovered after %v", f.name, n+1, took.Round(10*time.Millisecond))
				if took > slowRecovery {
					for i := range r.replicas {
						t.Logf("what replica %d has said:\n%s", i, r.replica(i).logged())
					}
				}
			}
			teststack.Note(t, fmt.Sprintf("×%d, outage %v, slowest recovery %v", *faultTimes, *faultOutage, worst.Round(10*time.Millisecond)))
		})
	}
	load.end()
	load.check(t)
	t.Log(load.summary())
	teststack.Note(t, load.summary())
}
