package problem

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// The messages of [platform.LogProblem].
const (
	msgFailed  = "request failed"
	msgRefused = "request refused"
)

// Of one kind of line, so many are written in each period.
const (
	sampleLines  = 10
	samplePeriod = time.Second
	// sampleKinds bounds the kinds that are counted apart.
	sampleKinds = 256
)

// Sampled returns a logger for [Log] and [Write] whose lines about answers of
// one status and code are at most 10 a second: who makes a service refuse must
// not be able to fill its disk too. The next line after a second in which some
// were left out says how many, as "suppressed". Faults of ours (500) are all
// written, and so is everything else that goes to the logger. It returns a
// logger that is sampled already as it is, and nil for nil.
func Sampled(log *slog.Logger) *slog.Logger {
	if log == nil {
		return nil
	}
	if _, ok := log.Handler().(*sampler); ok {
		return log
	}
	return slog.New(&sampler{log.Handler(), &samples{kinds: make(map[sampleKind]*sample)}})
}

type sampleKind struct {
	message, code string
	status        int64
}

type sample struct {
	begins              time.Time
	written, suppressed int64
}

// samples are what a logger and those made of it count together.
type samples struct {
	mu    sync.Mutex
	kinds map[sampleKind]*sample
}

// take reports whether a line may be written, and how many were not before it.
func (s *samples) take(k sampleKind, now time.Time) (suppressed int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.kinds[k]
	if have == nil {
		if len(s.kinds) >= sampleKinds {
			k = sampleKind{}
			have = s.kinds[k]
		}
		if have == nil {
			have = &sample{}
			s.kinds[k] = have
		}
	}
	if since := now.Sub(have.begins); since >= samplePeriod || since < 0 {
		have.begins, have.written = now, 0
	}
	if have.written == sampleLines {
		have.suppressed++
		return 0, false
	}
	have.written++
	suppressed, have.suppressed = have.suppressed, 0
	return suppressed, true
}

type sampler struct {
	slog.Handler
	samples *samples
}

func (h *sampler) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == msgRefused || r.Message == msgFailed {
		k := sampleKind{message: r.Message}
		r.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "status":
				k.status = a.Value.Int64()
			case "code":
				k.code = a.Value.String()
				return false
			}
			return true
		})
		if k.status != http.StatusInternalServerError {
			suppressed, ok := h.samples.take(k, r.Time)
			if !ok {
				return nil
			}
			if suppressed > 0 {
				r.AddAttrs(slog.Int64("suppressed", suppressed))
			}
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampler{h.Handler.WithAttrs(attrs), h.samples}
}

func (h *sampler) WithGroup(name string) slog.Handler {
	return &sampler{h.Handler.WithGroup(name), h.samples}
}
