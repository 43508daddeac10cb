package queue

import (
	"maps"

	"github.com/acme/platform"
)

// targetKey is a target of one tenant.
type targetKey struct {
	tenant platform.TenantID
	target string
}

// running counts the jobs of one kind that run in this process.
type running struct {
	total   int
	probes  int // those of failing targets
	shares  map[string]int
	targets map[targetKey]int
}

func newRunning() running {
	return running{shares: make(map[string]int), targets: make(map[targetKey]int)}
}

func (r *running) clone() running {
	c := *r
	c.shares, c.targets = maps.Clone(r.shares), maps.Clone(r.targets)
	return c
}

// add counts a run, or with n -1 takes it off.
func (r *running) add(run *run, n int) {
	r.total += n
	if run.probe {
		r.probes += n
	}
	if r.shares[run.share] += n; r.shares[run.share] == 0 {
		delete(r.shares, run.share)
	}
	if run.job.Target == "" {
		return
	}
	key := targetKey{run.key.tenant, run.job.Target}
	if r.targets[key] += n; r.targets[key] == 0 {
		delete(r.targets, key)
	}
}

// pool is the workers of one kind: a copy that a transaction can use up without
// changing the queue.
type pool struct {
	*kind
	running
	size int
	// ask are the tenants that have ready jobs and whose standing is not
	// known, or known from some time ago.
	ask []platform.TenantID
}

// pools returns those with a free worker, and none once the queue stops.
func (q *Queue) pools() []*pool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopping {
		return nil
	}
	var pools []*pool
	for _, k := range q.kinds {
		p := &pool{kind: k, size: k.options.Concurrency}
		if k.oneAtATime {
			p.size = 1
		}
		if k.running.total < p.size {
			p.running = k.running.clone()
			pools = append(pools, p)
		}
	}
	return pools
}

// free is how many workers have nothing to do.
func (p *pool) free() int { return p.size - p.total }

// freeFor is how many of them a tenant may have.
func (p *pool) freeFor(s standing) int {
	most := p.options.TenantConcurrency
	if p.options.Limit != nil {
		switch limit := p.options.Limit(s.limits); {
		case limit < 0:
			most = p.size
		default:
			most = int(min(limit, int64(p.size)))
		}
	}
	return min(p.free(), most-p.shares[s.limits.Share])
}

// freeForTarget is how many of them a target may have, and for one that fails
// whether there is one for a probe: half of the pool is the most that failing
// targets have, so that many of them leave room for what works.
func (p *pool) freeForTarget(tenant platform.TenantID, t target) int {
	if t.name == "" {
		return p.free()
	}
	n := p.targets[targetKey{tenant, t.name}]
	switch {
	case !t.failing:
		return min(p.free(), p.options.TargetConcurrency-n)
	case n > 0 || p.probes >= max(1, p.size/2):
		return 0
	}
	return min(1, p.free())
}

// OneAtATime has this process run one job of the kind at a time while on is
// true. It is for a kind whose jobs all need the same thing, such as a mail
// server, once that fails: one job at a time tries it, and the others wait
// without using up an attempt. A kind without handler is ignored.
func (q *Queue) OneAtATime(kindName string, on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range q.kinds {
		if k.name == kindName && k.oneAtATime != on {
			k.oneAtATime = on
			q.wake.Set()
		}
	}
}
