package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// run is one claimed job in this process, from its claim until its result is
// stored.
type run struct {
	key      jobKey
	kind     *kind
	job      Job
	share    string // of its tenant
	probe    bool   // of a failing target
	cancel   context.CancelCauseFunc
	reported bool        // the handler has returned; guarded by Queue.mu
	finished atomic.Bool // Finish has committed
	joined   atomic.Bool // Finish was called in a host's transaction, whose commit is not seen
}

// outcome is what becomes of a job after a run.
type outcome uint8

const (
	outcomeDone    outcome = iota
	outcomeRetry           // again at result.runAt
	outcomeDead            // dead-lettered
	outcomeRelease         // put back as if it had not been claimed
	outcomeLost            // somebody else's by now
)

// result is an outcome that is to be stored.
type result struct {
	run     *run
	outcome outcome
	runAt   time.Time
	cause   string
}

var errTimeout = errors.New("queue: the attempt took too long")

// start runs the jobs, each in a goroutine of its own. Once the queue stops it
// hands them back instead.
func (q *Queue) start(claimed []*run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range claimed {
		q.running[r.key] = r
		r.kind.running.add(r, 1)
		if q.stopping {
			q.reportLocked(r, result{run: r, outcome: outcomeRelease})
			continue
		}
		ctx, cancel := context.WithCancelCause(q.lifetime)
		r.cancel = cancel
		q.handlers.Go(func() { q.execute(ctx, r) })
	}
}

// execute calls the handler and reports how it went.
func (q *Queue) execute(ctx context.Context, r *run) {
	defer r.cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, r.kind.options.Timeout, errTimeout)
	defer stop()

	if !q.admitted(ctx, r.key.tenant) {
		q.release(r)
		return
	}
	err := errors.New("queue: the handler ended its goroutine")
	defer func() {
		if p := recover(); p != nil {
			q.log.ErrorContext(ctx, "a handler panicked", r.attr(), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("queue: panic: %v", p)
		}
		q.report(ctx, r, err)
	}()
	err = r.kind.handle(ctx, r.job)
}

// release puts a job back that was not begun.
func (q *Queue) release(r *run) {
	q.mu.Lock()
	q.reportLocked(r, result{run: r, outcome: outcomeRelease})
	q.mu.Unlock()
	q.wake.Set()
}

// report decides what becomes of the job and leaves that to the batcher.
func (q *Queue) report(ctx context.Context, r *run, err error) {
	cause := context.Cause(ctx)
	q.mu.Lock()
	res := q.decide(r, err, cause)
	q.reportLocked(r, res)
	q.mu.Unlock()
	q.wake.Set()

	switch {
	case err == nil:
	case r.finished.Load():
		q.log.WarnContext(ctx, "a handler failed after it finished its job", r.attr(), slog.Any("error", err))
	case res.outcome == outcomeDead:
		q.log.ErrorContext(ctx, "job is dead", r.attr(), slog.Any("error", err))
	case res.outcome == outcomeRetry:
		q.log.WarnContext(ctx, "job failed", r.attr(), slog.Any("error", err), slog.Time("next", res.runAt))
	}
}

// reportLocked frees the worker of a run at once; the batcher stores the result,
// in the transaction that claims the worker's next job.
func (q *Queue) reportLocked(r *run, res result) {
	r.reported = true
	r.kind.running.add(r, -1)
	q.results = append(q.results, res)
}

func (q *Queue) decide(r *run, err, cause error) result {
	res := result{run: r}
	if err == nil || r.finished.Load() {
		return res
	}
	var (
		discard *discardError
		retry   *retryError
	)
	res.cause = causeText(err, cause)
	switch {
	case errors.Is(cause, ErrLeaseLost), errors.Is(err, ErrLeaseLost):
		res.outcome = outcomeLost
	case errors.Is(cause, ErrStopping), errors.Is(cause, ErrSuspended):
		res.outcome = outcomeRelease
	case errors.As(err, &discard), r.job.Attempt >= r.kind.options.MaxAttempts:
		res.outcome = outcomeDead
	case errors.As(err, &retry):
		res.outcome, res.runAt = outcomeRetry, q.cfg.Now().Add(retry.pause)
	default:
		res.outcome, res.runAt = outcomeRetry, q.cfg.Now().Add(r.kind.options.pause(r.job.Attempt, q.cfg.Rand()))
	}
	return res
}

// maxCause bounds the text that is kept with a job.
const maxCause = 2000

func causeText(err, cause error) string {
	text := err.Error()
	if errors.Is(cause, errTimeout) {
		text = errTimeout.Error() + ": " + text
	}
	if len(text) > maxCause {
		text = text[:maxCause]
	}
	return strings.ToValidUTF8(text, "�")
}

func (r *run) attr() slog.Attr {
	return slog.Group("job", slog.String("id", r.job.ID), slog.String("kind", r.job.Kind),
		slog.String("tenant", string(r.job.Tenant)), slog.Int("attempt", r.job.Attempt))
}
