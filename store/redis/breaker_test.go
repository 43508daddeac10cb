package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

// newBreaker returns a breaker whose server answers while up.
func newBreaker(tasks *background.Group, up *atomic.Bool, log io.Writer) *breaker {
	return &breaker{
		ping: func(ctx context.Context) error {
			if up.Load() {
				return nil
			}
			<-ctx.Done() // a paused server is silence
			return ctx.Err()
		},
		timeout: time.Second, retry: 500 * time.Millisecond, tasks: tasks,
		log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

func TestBreakerTripsAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tasks background.Group
		var log bytes.Buffer
		var up atomic.Bool
		b := newBreaker(&tasks, &up, &log)
		for range failuresToTrip - 1 {
			b.report(io.EOF)
		}
		b.report(nil) // one answer, and the count begins again
		for i := range failuresToTrip {
			if b.open() {
				t.Fatalf("open after %d failures in a row", i)
			}
			b.report(context.DeadlineExceeded)
		}
		if !b.open() {
			t.Fatal("not open after failures in a row")
		}
		b.report(io.EOF) // of a call that was under way
		time.Sleep(10*time.Minute + 100*time.Millisecond)
		if !b.open() {
			t.Fatal("closed while the server is silent")
		}
		up.Store(true)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if b.open() {
			t.Fatal("open although the server answers")
		}
		b.report(io.EOF)
		if b.open() {
			t.Error("old failures count after an answer")
		}
		if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "answers again") {
			t.Errorf("the log is %q", text)
		}
		if err := tasks.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestBreakerEndsWithItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tasks background.Group
		var up atomic.Bool
		b := newBreaker(&tasks, &up, io.Discard)
		for range failuresToTrip {
			b.report(io.EOF)
		}
		if err := tasks.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatIsAnOutage(t *testing.T) {
	for _, c := range []struct {
		err    error
		outage bool
	}{
		{nil, false},
		{goredis.Nil, false},
		{goredis.ErrClosed, false},
		{fmt.Errorf("call: %w", context.Canceled), false},
		{goredis.ErrNoScript, false},
		{context.DeadlineExceeded, true},
		{io.EOF, true},
		{errors.New("dial tcp: connection refused"), true},
		{goredis.ErrPoolTimeout, true},
	} {
		if got := outage(c.err); got != c.outage {
			t.Errorf("outage(%v) = %v", c.err, got)
		}
	}
}

func TestTranslate(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want error
	}{
		{cancelled, io.EOF, context.Canceled},
		{late, errors.New("i/o timeout"), context.DeadlineExceeded},
		{t.Context(), context.DeadlineExceeded, platform.ErrUnavailable}, // the timeout was ours
		{t.Context(), io.EOF, platform.ErrUnavailable},
		{t.Context(), goredis.ErrClosed, &platform.Error{Kind: platform.KindUnavailable, Code: "store_closed"}},
	} {
		if got := translate(c.ctx, c.err); !errors.Is(got, c.want) {
			t.Errorf("%v becomes %v, want %v", c.err, got, c.want)
		}
	}
	if err := translate(t.Context(), goredis.ErrNoScript); platform.KindOf(err) != platform.KindInternal {
		t.Errorf("a fault becomes %v", err)
	}
}
