package redis

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

// wire is a server for one hub, which does what a test says. Its connections
// come one after the other.
type wire struct {
	mu      sync.Mutex
	refused int  // how many connections more are refused
	silent  bool // nothing is answered
	held    bool // confirmations wait for release
	waiting []*goredis.Subscription
	conns   []*line
}

func (w *wire) connect(context.Context) connection {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &line{wire: w, answers: make(chan any, 1000), gone: make(chan struct{}), channels: make(map[string]bool)}
	if w.refused > 0 {
		w.refused--
		l.refused = true
	}
	w.conns = append(w.conns, l)
	return l
}

// line is a connection.
type line struct {
	wire    *wire
	refused bool
	answers chan any
	gone    chan struct{}
	once    sync.Once

	// under wire.mu
	channels map[string]bool
	sent     []string
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.gone) })
	return nil
}

func (l *line) Receive(context.Context) (any, error) {
	select {
	case m := <-l.answers:
		return m, nil
	case <-l.gone:
		return nil, io.EOF
	}
}

func (l *line) Ping(context.Context, ...string) error {
	if l.refused {
		return io.EOF
	}
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	if !l.wire.silent {
		l.answers <- &goredis.Pong{}
	}
	return nil
}

func (l *line) Subscribe(_ context.Context, channels ...string) error {
	return l.command("subscribe", true, channels)
}

func (l *line) Unsubscribe(_ context.Context, channels ...string) error {
	return l.command("unsubscribe", false, channels)
}

func (l *line) command(kind string, on bool, channels []string) error {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	for _, c := range channels {
		l.channels[c] = on
		l.sent = append(l.sent, kind+" "+c)
		m := &goredis.Subscription{Kind: kind, Channel: c}
		switch {
		case l.wire.silent:
		case l.wire.held:
			l.wire.waiting = append(l.wire.waiting, m)
		default:
			l.answers <- m
		}
	}
	return nil
}

// last returns the newest connection.
func (w *wire) last() *line {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[len(w.conns)-1]
}

// hold keeps confirmations back from now on.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = true
}

// release lets the first waiting confirmation go.
func (w *wire) release(t *testing.T) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		t.Fatal("no command waits")
	}
	w.conns[len(w.conns)-1].answers <- w.waiting[0]
	w.waiting = w.waiting[1:]
}

// publish sends a message to the newest connection, if it listens.
func (w *wire) publish(channel, payload string) {
	l := w.last()
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.channels[channel] {
		l.answers <- &goredis.Message{Channel: channel, Payload: payload}
	}
}

func (w *wire) commands() []string {
	synctest.Wait()
	l := w.last()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(l.sent)
}

// newHub returns a hub and the server that it talks to, in a bubble.
func newHub(t *testing.T) (*hub, *wire) {
	t.Helper()
	w := &wire{}
	var tasks background.Group
	h := &hub{
		connect: w.connect, timeout: time.Second, heartbeat: 5 * time.Second,
		backoff: background.Backoff{Min: 50 * time.Millisecond, Max: 500 * time.Millisecond, Rand: func() float64 { return 0 }},
		log:     slog.New(slog.DiscardHandler), tasks: &tasks,
		closed: make(chan struct{}), topics: make(map[string]*topic), wake: background.NewSignal(),
	}
	t.Cleanup(func() {
		h.end()
		if err := tasks.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if len(h.topics) != 0 {
			t.Errorf("%d topics are left", len(h.topics))
		}
	})
	return h, w
}

func subscribe(t *testing.T, h *hub, channel string) *subscription {
	t.Helper()
	s, err := h.subscribe(t.Context(), channel)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantMessage checks what has arrived.
func wantMessage(t *testing.T, s *subscription, payload string, dropped int) {
	t.Helper()
	synctest.Wait()
	select {
	case m := <-s.C():
		if string(m.Payload) != payload || m.Dropped != dropped {
			t.Errorf("got %q after %d dropped, want %q after %d", m.Payload, m.Dropped, payload, dropped)
		}
	default:
		t.Errorf("no message, want %q", payload)
	}
}

func wantCommands(t *testing.T, w *wire, want ...string) {
	t.Helper()
	if got := w.commands(); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestHubSharesASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := newHub(t)
		one, two := subscribe(t, h, "a"), subscribe(t, h, "a")
		wantCommands(t, w, "subscribe a")
		one.Close()
		wantCommands(t, w, "subscribe a")
		w.publish("a", "x")
		wantMessage(t, two, "x", 0)
		two.Close()
		wantCommands(t, w, "subscribe a", "unsubscribe a")
		subscribe(t, h, "b")
		if len(w.conns) != 1 {
			t.Errorf("%d connections", len(w.conns))
		}
	})
}

// A subscription is in place when the server has confirmed the command that was
// sent for it, not an earlier one.
func TestHubWaitsForItsOwnConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := newHub(t)
		subscribe(t, h, "other")
		w.hold()
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error)
		go func() {
			_, err := h.subscribe(ctx, "a")
			gaveUp <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		var s *subscription
		ready := make(chan struct{})
		w.release(t) // the first subscribe: nobody wants it, so it is left
		wantCommands(t, w, "subscribe other", "subscribe a", "unsubscribe a")
		go func() {
			s = subscribe(t, h, "a")
			close(ready)
		}()
		wantCommands(t, w, "subscribe other", "subscribe a", "unsubscribe a")
		w.release(t) // the unsubscribe
		wantCommands(t, w, "subscribe other", "subscribe a", "unsubscribe a", "subscribe a")
		select {
		case <-ready:
			t.Error("in place before its confirmation")
		default:
		}
		w.release(t)
		<-ready
		w.publish("a", "x")
		wantMessage(t, s, "x", 0)
	})
}

func TestHubRestoresSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := newHub(t)
		a, b, left := subscribe(t, h, "a"), subscribe(t, h, "b"), subscribe(t, h, "left")
		w.publish("a", "before")
		w.mu.Lock()
		w.refused = 20
		w.mu.Unlock()
		synctest.Wait()
		w.last().Close()
		synctest.Wait()
		left.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		w.publish("a", "after")
		w.publish("a", "later")
		w.publish("left", "to nobody")
		wantMessage(t, a, "before", 0)
		wantMessage(t, a, "", 1) // one gap, whatever number of tries
		wantMessage(t, a, "after", 0)
		wantMessage(t, a, "later", 0)
		wantMessage(t, b, "", 1) // told though nothing is published
		w.publish("b", "x")
		wantMessage(t, b, "x", 0)
		if n := len(w.conns); n != 22 {
			t.Errorf("%d connections, want 1 and 20 refused and 1", n)
		}
		// One that came after the gap has none.
		c := subscribe(t, h, "a")
		w.publish("a", "y")
		wantMessage(t, c, "y", 0)
	})
}

func TestHubGivesASilentConnectionUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := newHub(t)
		s := subscribe(t, h, "a")
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.conns) != 1 {
			t.Fatalf("%d connections while all is well", len(w.conns))
		}
		w.mu.Lock()
		w.silent = true
		w.mu.Unlock()
		time.Sleep(10*time.Second + 10*time.Millisecond)
		w.mu.Lock()
		w.silent = false
		w.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(w.conns) < 2 {
			t.Fatal("a silent connection is kept")
		}
		w.publish("a", "x")
		synctest.Wait()
		select {
		case m := <-s.C():
			if m.Dropped == 0 {
				t.Error("the gap is not told")
			}
		default:
			t.Error("the subscription is not restored")
		}
	})
}

func TestHubWithoutServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := newHub(t)
		w.refused = 1 << 30
		began := time.Now()
		if _, err := h.subscribe(t.Context(), "a"); platform.KindOf(err) != platform.KindUnavailable {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		waiting := make(chan error)
		go func() {
			_, err := h.subscribe(t.Context(), "a")
			waiting <- err
		}()
		synctest.Wait()
		h.end()
		closed := &platform.Error{Kind: platform.KindUnavailable, Code: "store_closed"}
		if err := <-waiting; !errors.Is(err, closed) {
			t.Errorf("waiting at the end: %v", err)
		}
		if _, err := h.subscribe(t.Context(), "a"); !errors.Is(err, closed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestHubDropsForTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := newHub(t)
		slow, quick := subscribe(t, h, "a"), subscribe(t, h, "a")
		for i := range subscriptionBuffer + 3 {
			w.publish("a", string(rune('A'+i%26)))
			wantMessage(t, quick, string(rune('A'+i%26)), 0)
		}
		for i := range subscriptionBuffer {
			wantMessage(t, slow, string(rune('A'+i%26)), 0)
		}
		w.publish("a", "late")
		wantMessage(t, slow, "late", 3)
	})
}

// A receiver that has not yet read all is told of the gap behind what it has
// still to read, once for each.
func TestHubTellsTheSlowOfAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, w := newHub(t)
		slow := subscribe(t, h, "a")
		for range subscriptionBuffer + 3 {
			w.publish("a", "x")
		}
		for range 2 {
			synctest.Wait()
			w.last().Close()
			time.Sleep(time.Minute)
		}
		for range subscriptionBuffer {
			wantMessage(t, slow, "x", 0)
		}
		wantMessage(t, slow, "", 4)
		w.publish("a", "y")
		wantMessage(t, slow, "y", 1)
	})
}
