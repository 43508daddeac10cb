package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/fairshare"
)

// Scans gives queries that read much, scans, a bounded part of the process, so
// that those of one tenant keep neither the short queries nor the scans of
// another waiting. One [platform.Limits].Share has Limits.Scans under way at
// most; further ones wait in the share's own line. Those that are under way
// take turns of some milliseconds on a part of the CPUs, share by share, so
// that a short scan is done soon beside long ones.
//
// The services of a process are given one and the same. Scans is made by
// [NewScans]; its methods are safe for concurrent use.
type Scans struct {
	cfg ScanConfig
	// open are the scans under way, each of which may hold a connection, and
	// cores the ones of them that run.
	open, cores *fairshare.Slots
}

// ScanConfig configures [NewScans]. The zero value is good.
type ScanConfig struct {
	// Cores is how many scans run at the same moment. Zero is half of the CPUs
	// that Go uses, at least 1: the others are for short queries.
	Cores int
	// Open is how many scans of all shares are under way at once, each with a
	// connection of the store; zero is four for each of Cores.
	Open int
	// Line is how many scans of one share wait; further ones are refused.
	// Zero is 64.
	Line int
	// MaxWait bounds the wait of one scan; zero is 10 s.
	MaxWait time.Duration
	// MaxReads bounds the documents, index entries or rows that one scan
	// reads; zero is 5,000,000.
	MaxReads int64
	// MaxTime bounds the time that one scan is under way; zero is 20 s.
	MaxTime time.Duration
}

// NewScans returns a new bound for scans. The error names every field of cfg
// that is negative.
func NewScans(cfg ScanConfig) (*Scans, error) {
	var errs []error
	for _, f := range []struct {
		name     string
		negative bool
	}{
		{"Cores", cfg.Cores < 0},
		{"Open", cfg.Open < 0},
		{"Line", cfg.Line < 0},
		{"MaxWait", cfg.MaxWait < 0},
		{"MaxReads", cfg.MaxReads < 0},
		{"MaxTime", cfg.MaxTime < 0},
	} {
		if f.negative {
			errs = append(errs, fmt.Errorf("store: ScanConfig.%s must not be negative", f.name))
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	if cfg.Cores == 0 {
		cfg.Cores = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Open == 0 {
		cfg.Open = 4 * cfg.Cores
	}
	if cfg.Line == 0 {
		cfg.Line = 64
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = 10 * time.Second
	}
	if cfg.MaxReads == 0 {
		cfg.MaxReads = 5_000_000
	}
	if cfg.MaxTime == 0 {
		cfg.MaxTime = 20 * time.Second
	}
	return &Scans{cfg: cfg, open: fairshare.New(cfg.Open, cfg.Line), cores: fairshare.New(cfg.Cores, math.MaxInt)}, nil
}

// ScanFunc is a query that reads within its budget and ends with its context.
type ScanFunc func(ctx context.Context, budget *Budget) error

// Run runs a query that may turn out to be a scan: first as a short one that
// reads up to [ShortReads], and where that ends with [ErrTooCostly] as
// [Scans.Scan] does. So query may be called twice.
func (s *Scans) Run(ctx context.Context, limits platform.LimitsFunc, tenant platform.TenantID, query ScanFunc) error {
	err := query(ctx, NewBudget(ShortReads))
	if !errors.Is(err, ErrTooCostly) {
		return err
	}
	return s.Scan(ctx, limits, tenant, query)
}

// Scan runs a query when the tenant's share may have one more under way.
// Errors: those of query and of limits; KindLimited "scans_exceeded", with
// RetryAfter, where too many of the share wait or one waited too long;
// [ErrTooCostly] where the query took too long.
func (s *Scans) Scan(ctx context.Context, limits platform.LimitsFunc, tenant platform.TenantID, query ScanFunc) error {
	l, err := limits.Of(ctx, tenant)
	if err != nil {
		return err
	}
	done, err := s.enter(ctx, l)
	if err != nil {
		return err
	}
	defer done() // also where query panics
	t := turn{cores: s.cores, share: l.Share}
	defer t.end()
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.MaxTime, errScanTime)
	defer cancel()
	err = query(ctx, &Budget{most: s.cfg.MaxReads, pace: t.pace})
	if err != nil && context.Cause(ctx) == errScanTime { //nolint:errorlint // the cause is this very error or none of ours
		return platform.Errorf(platform.KindInvalid, "query_too_costly",
			"the query takes longer than %v: an index, or a narrower filter, bounds what is read", s.cfg.MaxTime).Because(err)
	}
	return err
}

// The reasons why a scan ends early.
var (
	errScanTime = errors.New("store: the scan took too long")
	errScanWait = errors.New("store: the scan waited too long")
)

// scanRetry is when a scan that was refused is worth another try.
const scanRetry = 5 * time.Second

func (s *Scans) enter(ctx context.Context, l platform.Limits) (done func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.MaxWait, errScanWait)
	defer cancel()
	done, err = s.open.Acquire(ctx, l.Share, int(l.Scans))
	if errors.Is(err, fairshare.ErrFull) || errors.Is(err, errScanWait) {
		e := platform.Errorf(platform.KindLimited, "scans_exceeded",
			"the organization has its limit scans of %d under way, and too many waiting: "+
				"queries without a fitting index, exports and analytics questions", l.Scans)
		e.RetryAfter = scanRetry
		return nil, e.Because(err)
	}
	return done, err
}

// Running returns how many scans of a share are under way.
func (s *Scans) Running(share string) int { return s.open.Running(share) }

// Waiting returns how many scans of a share wait.
func (s *Scans) Waiting(share string) int { return s.open.Waiting(share) }

// turn is the part of a scan in the cores. It begins within the transaction,
// so whoever has a core waits for no connection.
type turn struct {
	cores   *fairshare.Slots
	share   string
	release func() // nil where it has none
	// since is when the turn began, and rested when it last let others run.
	since, rested time.Time
}

const (
	// turnTime is how long a scan goes on while another share waits.
	turnTime = 10 * time.Millisecond
	// restEvery is how long a scan computes before it rests. Go leaves a
	// goroutine on its core for 10 ms before it looks for others, and for
	// requests that have arrived; these wait for restEvery.
	restEvery = time.Millisecond / 2
	// restTime is how long it rests. It also bounds the garbage that a scan
	// makes in a second, whose collection takes the other cores: on two of them
	// the p99 of another tenant's reads was 2.0 to 2.4 times that without scans
	// for 50 µs, and is 1.1 to 1.5 times for 2 ms. A scan takes twice as long.
	restTime = 2 * time.Millisecond
)

// pace is for [Budget]; it is called again and again.
func (t *turn) pace(ctx context.Context) error {
	now := time.Now()
	switch {
	case t.release == nil:
	case now.Sub(t.since) >= turnTime && t.cores.Wanted(t.share):
		t.end()
	case now.Sub(t.rested) >= restEvery:
		time.Sleep(restTime)
		t.rested = time.Now()
		return ctx.Err()
	default:
		return nil
	}
	release, err := t.cores.Acquire(ctx, t.share, -1)
	if err != nil {
		return err
	}
	t.release, t.since = release, time.Now()
	t.rested = t.since
	return nil
}

func (t *turn) end() {
	if t.release != nil {
		t.release()
		t.release = nil
	}
}
