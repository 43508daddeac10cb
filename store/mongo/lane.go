package mongo

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// lane is the queue of changes of one collection in this process. One goroutine
// at a time works on it, and what has come together leaves in one commit.
type lane struct {
	d    *Documents
	sc   scope
	name string

	mu      sync.Mutex
	jobs    []*job
	working bool

	// known is the head as this process has last written it, all of it
	// carried out; noted is set where the row says so too. Only the goroutine
	// at work uses them.
	known *head
	noted bool
}

type laneKey struct {
	tenant platform.TenantID
	name   string
}

// job is one call that changes a collection.
type job struct {
	ctx     context.Context //nolint:containedctx // it is the call's
	changes []store.Change
	build   store.EventsBuilder
	// alone is set for a call that changes something else than documents. It
	// plans the whole commit.
	alone func(ctx context.Context, b *batch) error
	// creates is set for a call that is about a collection to be made.
	creates bool

	state jobState // under the lane's mu
	done  chan struct{}
	out   []store.Document
	err   error
	panic any // of build
}

type jobState uint8

const (
	jobWaits jobState = iota
	jobCommits
	jobLeft // its caller has given up
)

// maxLanes bounds how many idle lanes are kept for what they know.
const maxLanes = 4096

// maxTogether is how many changes leave in one commit, unless one call has more.
const maxTogether = 512

// do has a job done and waits for it, or until its context ends.
func (d *Documents) do(sc scope, name string, j *job) error {
	if err := j.ctx.Err(); err != nil {
		return fault("change", err)
	}
	j.done = make(chan struct{})
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return errStopped
	}
	key := laneKey{sc.tenant, name}
	l := d.lanes[key]
	if l == nil {
		d.forgetLane()
		l = &lane{d: d, sc: sc, name: name}
		d.lanes[key] = l
	}
	l.mu.Lock()
	l.jobs = append(l.jobs, j)
	if !l.working {
		l.working = true
		d.working.Go(l.work)
	}
	l.mu.Unlock()
	d.mu.Unlock()
	select {
	case <-j.done:
	case <-j.ctx.Done():
		l.mu.Lock()
		waits := j.state == jobWaits
		if waits {
			j.state = jobLeft
		}
		l.mu.Unlock()
		if waits {
			return fault("change", j.ctx.Err())
		}
		<-j.done // the commit has begun
	}
	if j.panic != nil {
		panic(j.panic)
	}
	return j.err
}

// forgetLane makes room for another lane. The caller holds d.mu.
func (d *Documents) forgetLane() {
	if len(d.lanes) < maxLanes {
		return
	}
	for key, l := range d.lanes { // any one: the order of a map is random
		l.mu.Lock()
		idle := !l.working
		l.mu.Unlock()
		if idle {
			delete(d.lanes, key)
			return
		}
	}
}

// work does what waits, until nothing does.
func (l *lane) work() {
	for {
		jobs := l.take()
		if jobs == nil {
			l.settle()
			l.mu.Lock()
			if len(l.jobs) == 0 {
				l.working = false
				l.mu.Unlock()
				return
			}
			l.mu.Unlock()
			continue
		}
		l.together(jobs)
	}
}

// take returns the next jobs that can leave together.
func (l *lane) take() []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, changes := 0, 0
	for n < len(l.jobs) {
		j := l.jobs[n]
		if n > 0 && (j.alone != nil || changes+len(j.changes) > maxTogether) {
			break
		}
		n++
		changes += len(j.changes)
		if j.alone != nil {
			break
		}
	}
	jobs := l.jobs[:n:n]
	l.jobs = l.jobs[n:]
	if n == 0 {
		return nil
	}
	return jobs
}

// present drops the jobs whose callers have given up.
func (l *lane) present(jobs []*job) []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*job
	for _, j := range jobs {
		if j.state != jobLeft {
			out = append(out, j)
		}
	}
	return out
}

// decide takes from the callers the choice to give up; ok is false where one has.
func (l *lane) decide(jobs []*job, state jobState) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range jobs {
		if j.state == jobLeft {
			return false
		}
	}
	for _, j := range jobs {
		j.state = state
	}
	return true
}

func end(jobs []*job, err error) {
	for _, j := range jobs {
		j.err = err
		close(j.done)
	}
}

// maxTries is how often a commit is tried against those of other processes.
const maxTries = 200

// together does jobs in one commit.
func (l *lane) together(jobs []*job) {
	for try := range maxTries {
		if jobs = l.present(jobs); len(jobs) == 0 {
			return
		}
		if try > 0 {
			background.Sleep(context.Background(), l.d.jitter(min(time.Millisecond<<min(try, 6), 50*time.Millisecond)))
		}
		var err error
		if jobs, err = l.try(jobs); err != nil {
			l.known = nil
			end(jobs, err)
			return
		}
	}
	end(jobs, errBusy)
}

// try plans and makes a commit of the jobs, and returns those that are to be
// tried again. An error is that of all of them.
func (l *lane) try(jobs []*job) ([]*job, error) {
	ctx := context.Background() // it works for many calls; each command is bounded
	fresh := l.known == nil
	if fresh {
		h, err := l.d.settled(ctx, l.sc, l.name, writerPatience)
		if err != nil {
			return jobs, err
		}
		if h == nil {
			return jobs, errNoCollection
		}
		l.known, l.noted = h, h.Txn == ""
	}
	b, err := l.d.newBatch(l.sc, l.name, l.known)
	if err != nil {
		return jobs, err
	}
	b.fresh = fresh
	left, err := b.plan(ctx, jobs)
	switch {
	case errors.Is(err, errMoved), errors.Is(err, errNotFresh):
		l.settle()
		l.known = nil
		return left, nil
	case err != nil:
		return left, err
	case len(left) == 0:
		return nil, nil
	}
	return l.commit(b, left)
}

func (l *lane) commit(b *batch, jobs []*job) ([]*job, error) {
	if !l.decide(jobs, jobCommits) {
		return jobs, nil
	}
	// From here on callers wait for the outcome, whatever it takes.
	ctx := context.Background()
	ok, err := l.d.commit(ctx, l.sc, l.name, b.base, b.next, b.redo)
	if err != nil {
		return jobs, err
	}
	if !ok {
		l.known = nil
		l.decide(jobs, jobWaits)
		return jobs, nil
	}
	l.known, l.noted = b.next, b.next.Txn == ""
	err = l.d.carryOut(ctx, l.sc, b.next, b.redo)
	end(jobs, nil)
	if err == nil {
		err = l.d.tidy(ctx, l.sc, b.next, b.redo)
	}
	if err == nil && (b.next.Redo != nil && b.next.Redo.Parts > 0 || b.redo.Gone) {
		if err = l.d.note(ctx, l.sc, l.name, b.next, b.redo); err == nil {
			l.noteDone()
		}
	}
	if err != nil {
		// It is committed; whoever comes next writes what is missing.
		l.d.log.WarnContext(ctx, "a commit is not carried out yet", slog.Any("error", err))
		l.known = nil
	}
	if b.redo.Gone {
		l.known = nil
	}
	return nil, nil
}

// settle notes that the last commit is carried out.
func (l *lane) settle() {
	if l.known == nil || l.noted {
		return
	}
	if err := l.d.note(context.Background(), l.sc, l.name, l.known, &redo{}); err != nil {
		l.known = nil
		return
	}
	l.noteDone()
}

func (l *lane) noteDone() {
	next := *l.known
	next.Txn, next.Redo, next.Pending = "", nil, false
	l.known, l.noted = &next, true
}
