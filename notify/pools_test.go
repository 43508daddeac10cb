package notify_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
)

// hanging is a way to receivers that do not answer until they are let go, but for
// those of the host good.example.com. It counts what hangs, by host.
type hanging struct {
	mu  sync.Mutex
	now map[string]int
	let chan struct{}
}

func newHanging(t *testing.T) *hanging {
	t.Helper()
	h := &hanging{now: make(map[string]int), let: make(chan struct{})}
	t.Cleanup(func() { close(h.let) })
	return h
}

func (h *hanging) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Hostname()
	if host != "good.example.com" {
		h.add(host, 1)
		defer h.add(host, -1)
		select {
		case <-h.let:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	return reply(200, "", "")(1)
}

func (h *hanging) add(host string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now[host] += n
}

// of returns how many hang of the hosts that end so.
func (h *hanging) of(suffix string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for host, now := range h.now {
		if strings.HasSuffix(host, suffix) {
			n += now
		}
	}
	return n
}

// Four tenants whose receivers hang have as many deliveries under way as their
// limit allows and each of their endpoints its part of them; a fifth tenant's
// webhook and e-mail leave meanwhile.
func TestHangingReceiversDelayNoOtherTenant(t *testing.T) {
	office := &postOffice{}
	office.open(t, nil)
	w := start(t, func(c *notify.Config) { c.Mail = office.config() })
	h := newHanging(t)
	w.svc.SetTransport(h)
	for i := range 4 {
		tenant := platform.TenantID(fmt.Sprintf("org_hangs_%d", i))
		for n := range 3 {
			w.want(201, tenant, "eve", "POST", "/v1/notify/endpoints", map[string]any{
				"url": fmt.Sprintf("https://n%d.%s.example.com/", n, tenant), "types": []string{"data.*"},
			})
		}
		for n := range 10 {
			w.emit(recordCreated(tenant, n))
		}
	}
	eventually(t, "8 deliveries of each of the four hang", func() bool { return h.of("") == 4*8 })
	end := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{
		"url": "https://good.example.com/", "types": []string{"data.*"},
	})["id"].(string)
	w.emit(recordCreated(acme, 1))
	m := w.mailTo("", "bob@example.com")
	eventually(t, "the fifth tenant's webhook", func() bool {
		d := w.deliveries(end)
		return len(d) == 1 && d[0].Status == notify.DeliveryDelivered
	})
	eventually(t, "its e-mail", func() bool { return w.delivery(m).Status == notify.DeliveryDelivered })
	for i := range 4 {
		if n := h.of(fmt.Sprintf("org_hangs_%d.example.com", i)); n != 8 {
			t.Errorf("%d deliveries of one tenant hang, want the limit of 8", n)
		}
		for n := range 3 {
			if n := h.of(fmt.Sprintf("n%d.org_hangs_%d.example.com", n, i)); n > 4 {
				t.Errorf("%d hang at one endpoint, want 4 at most", n)
			}
		}
	}
}

// After its first failure an endpoint gets one attempt at a time until one
// succeeds. What waits behind it costs no attempt.
func TestFailingEndpointGetsOneAttemptAtATime(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w, _, end, _ := webhooks(t, "data.*")
		var (
			mu        sync.Mutex
			now, most int
			works     bool
		)
		way := transport(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(10 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			now--
			if works {
				return reply(200, "", "")(1)
			}
			return reply(500, "", "")(1)
		})
		w.svc.SetTransport(way)
		for n := range 100 {
			w.emit(recordCreated(acme, n))
		}
		time.Sleep(15 * time.Second) // the first have failed
		mu.Lock()
		most = now
		mu.Unlock()
		time.Sleep(5 * time.Minute)
		attempts := 0
		for _, d := range w.deliveries(end) {
			attempts += len(d.Attempts)
		}
		mu.Lock()
		if most != 1 {
			t.Errorf("%d attempts at once at an endpoint that fails", most)
		}
		// One in 10 s, after those that began before the first failure.
		if attempts < 25 || attempts > 31+4 {
			t.Errorf("%d attempts in 5 minutes", attempts)
		}
		works, most = true, 0
		mu.Unlock()
		until(t, "all are delivered", func() bool {
			for _, d := range w.deliveries(end) {
				if d.Status != notify.DeliveryDelivered {
					return false
				}
			}
			return true
		})
		mu.Lock()
		defer mu.Unlock()
		if most < 4 {
			t.Errorf("%d attempts at once after it recovered", most)
		}
	})
}

// Deliveries behind a failing endpoint end once it is switched off, without an
// attempt each.
func TestEndpointThatIsSwitchedOffLeavesNothingWaiting(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w, r, end, _ := webhooks(t, "data.*")
		r.set(func(n int) (*http.Response, error) {
			time.Sleep(time.Minute / 2)
			return reply(500, "", "")(n)
		})
		for n := range 50 {
			w.emit(recordCreated(acme, n))
		}
		time.Sleep(2 * time.Minute)
		before := len(r.all())
		w.want(200, acme, "ann", "PATCH", "/v1/notify/endpoints/"+end, map[string]any{"enabled": false})
		time.Sleep(2 * time.Minute)
		if n := len(r.all()) - before; n > 0 {
			t.Errorf("%d attempts at an endpoint that is switched off", n)
		}
		failed := 0
		for _, d := range w.deliveries(end) {
			if d.Status == notify.DeliveryFailed && d.Reason == "endpoint_disabled" {
				failed++
			}
		}
		// Those that were tried have their next attempt later.
		if failed < 40 {
			t.Errorf("%d of 50 deliveries have ended", failed)
		}
	})
}

// silentServer takes connections and says nothing. It counts those that are open.
type silentServer struct {
	mu         sync.Mutex
	open, seen int
	crowded    int // connections that were never alone, after the first 8
}

func (s *silentServer) listen(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open++
			s.seen++
			first := s.seen <= 8
			s.mu.Unlock()
			go s.hold(c, first)
		}
	}()
	return l.Addr().(*net.TCPAddr)
}

func (s *silentServer) hold(c net.Conn, first bool) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = io.Copy(io.Discard, c)
	}()
	alone := first
	for waiting := true; waiting; {
		select {
		case <-left:
			waiting = false
		default:
			s.mu.Lock()
			alone = alone || s.open == 1
			s.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	}
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if !alone {
		s.crowded++
	}
}

// A mail server that hangs gets one e-mail at a time after the first failure, and
// keeps no webhook waiting.
func TestMailServerThatHangs(t *testing.T) {
	s := &silentServer{}
	addr := s.listen(t)
	w := start(t, func(c *notify.Config) {
		c.Mail = &notify.SMTP{
			Host: "127.0.0.1", Port: addr.Port, TLS: notify.TLSNone, From: "Acme <no-reply@acme.example>",
			HELO: "test", Timeout: 300 * time.Millisecond,
		}
	})
	w.svc.SetTransport(newHanging(t))
	for n := range 30 {
		w.mailTo("", fmt.Sprintf("user%d@example.com", n))
	}
	end := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{
		"url": "https://good.example.com/", "types": []string{"data.*"},
	})["id"].(string)
	w.emit(recordCreated(acme, 1))
	eventually(t, "a webhook", func() bool {
		d := w.deliveries(end)
		return len(d) == 1 && d[0].Status == notify.DeliveryDelivered
	})
	eventually(t, "further probes", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.seen >= 8+4
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowded > 0 {
		t.Errorf("%d e-mails were under way beside others although the server hangs", s.crowded)
	}
}
