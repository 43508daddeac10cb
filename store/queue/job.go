package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

// Job is one piece of work of one tenant. The caller of [Queue.Enqueue] sets
// Kind, Payload, RunAt, UniqueKey and Priority; a [Handler] sees all of it.
type Job struct {
	// Kind chooses the handler: "notify.deliver". At most 100 bytes.
	Kind string
	// Payload is a JSON value of at most [MaxPayload] bytes, or empty. It is
	// stored as it is: no secrets.
	Payload json.RawMessage
	// RunAt is the earliest time to run; the zero time is now.
	RunAt time.Time
	// UniqueKey, where it is not empty, allows one unfinished job of the
	// tenant, kind and key: enqueuing another returns the id of the first,
	// whose payload stays. Done and dead jobs are finished. At most 200 bytes.
	UniqueKey string
	// Priority orders the waiting jobs of one tenant, kind and target: higher
	// first, 0 is usual. Between tenants it has no say, so that no tenant can
	// push back another.
	Priority int
	// Target, where it is not empty, is what the job works on that others may
	// find slow or broken, such as the address it sends to: the targets of a
	// tenant take turns, [Options.TargetConcurrency] bounds each, and one that
	// fails ([Queue.TargetFailed]) gets one job at a time. At most 200 bytes.
	Target string

	// Tenant is whose job it is. Enqueue takes it from the transaction;
	// EnqueueAcross needs it, and takes [platform.NoTenant] too: such jobs have
	// the limits and the share of a tenant, and are never suspended.
	Tenant platform.TenantID
	// ID is chosen by Enqueue.
	ID string
	// Attempt counts the runs, from 1.
	Attempt int
	// EnqueuedAt is when Enqueue was called.
	EnqueuedAt time.Time

	// run is the claim that the handler's copy stands for; nil elsewhere.
	run *run
}

const (
	maxKind      = 100
	maxUniqueKey = 200
	maxTarget    = 200
)

// MaxPayload is the most bytes of a job's payload. What is larger belongs in a
// table, and its id in the job.
const MaxPayload = 256 << 10

// Handler does the work of one job. Its context ends with the timeout of the
// attempt, when the job's lease is lost, when its tenant is suspended, and when
// the queue stops; a handler must then return soon. A nil return finishes the job; an error, or a panic,
// has it run again later, unless it is from [Discard] or it was the last
// attempt. The error's text is kept with the job: it must hold no secrets.
//
// A handler may run more than once for one job, because a process can end
// between the effect and its record. [Finish] joins the two.
type Handler func(ctx context.Context, job Job) error

// Options says how the jobs of one kind are run. The zero value is valid.
type Options struct {
	// MaxAttempts is how often a job is run before it is a dead job;
	// zero is 12.
	MaxAttempts int
	// Timeout bounds one attempt; zero is one minute.
	Timeout time.Duration
	// Concurrency is the most jobs of the kind that run at once in this
	// process, its workers; zero is Config.Workers. No other kind uses them.
	Concurrency int
	// TenantConcurrency is the most jobs of the kind that run at once in this
	// process for one tenant, or for those that have one share together; zero
	// is Config.TenantWorkers, or three quarters of Concurrency.
	TenantConcurrency int
	// Limit, where it is set, picks the limit that takes the place of
	// TenantConcurrency out of those of the tenant; negative is no limit.
	Limit func(platform.Limits) int64
	// TargetConcurrency is the most jobs of the kind that run at once in this
	// process for one target of one tenant; zero is TenantConcurrency.
	TargetConcurrency int
	// Backoff is the longest pause after the first failure; it doubles with
	// each further one up to MaxBackoff. The pause is drawn evenly between
	// zero and that bound ("full jitter",
	// https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
	// Zero is 5 s and one hour.
	Backoff, MaxBackoff time.Duration
}

func (o Options) withDefaults(cfg Config) Options {
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 12)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.Concurrency = cmp.Or(o.Concurrency, cfg.Workers)
	o.TenantConcurrency = cmp.Or(o.TenantConcurrency, cfg.TenantWorkers, max(1, o.Concurrency*3/4))
	o.TargetConcurrency = cmp.Or(o.TargetConcurrency, o.TenantConcurrency)
	o.Backoff = cmp.Or(o.Backoff, 5*time.Second)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, time.Hour)
	return o
}

// pause returns how long to wait after the given attempt failed: evenly from
// zero to a bound that doubles.
func (o Options) pause(attempt int, random float64) time.Duration {
	bound := background.Backoff{Min: o.Backoff, Max: o.MaxBackoff}.Bound(attempt)
	return time.Duration(random * float64(bound))
}
