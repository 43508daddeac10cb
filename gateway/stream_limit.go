package gateway

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/acme/platform"
)

// streamRetryAfter is when one who has too many streams may ask again.
const streamRetryAfter = 10 * time.Second

// streamCounter counts the live streams of each share in this process.
type streamCounter struct {
	mu   sync.Mutex
	open map[string]int64
}

func newStreamCounter() *streamCounter { return &streamCounter{open: make(map[string]int64)} }

// begin reports whether the share may open one more; each that may must end.
func (c *streamCounter) begin(share string, limit int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit >= 0 && c.open[share] >= limit {
		return false
	}
	c.open[share]++
	return true
}

func (c *streamCounter) end(share string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[share]--; c.open[share] == 0 {
		delete(c.open, share)
	}
}

func (c *streamCounter) used(share string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[share]
}

// limitLive bounds the live streams that a share has open at once.
func limitLive(plans plans, streams *streamCounter, log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := platform.CallerFrom(r.Context())
			var b bounds
			if err == nil {
				b, err = plans.bounds(r.Context(), p)
			}
			if err == nil && !streams.begin(b.share, b.streams) {
				err = platform.OverRate(limitStreams, b.streams, streamRetryAfter)
			}
			if err != nil {
				platform.WriteProblem(w, r, log, err)
				return
			}
			defer streams.end(b.share)
			next.ServeHTTP(w, r)
		})
	}
}
