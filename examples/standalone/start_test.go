package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
)

func TestStart(t *testing.T) {
	away := fmt.Errorf("redis: open: %w", platform.Errorf(platform.KindUnavailable, "store_unavailable", "away"))
	wrong := errors.New("password authentication failed")
	for name, c := range map[string]struct {
		answers []error // of one try after the other; the last one stays
		timeout time.Duration
		says    string // "" is a start
		tries   int
		took    time.Duration
	}{
		"at once":          {[]error{nil}, time.Minute, "", 1, 0},
		"away, then there": {[]error{away, away, away, nil}, time.Minute, "", 4, 1750 * time.Millisecond},
		"away for good":    {[]error{away}, 10 * time.Second, "gave up after 8s: redis: open", 6, 7750 * time.Millisecond},
		"not patient":      {[]error{away}, 0, "gave up after 0s", 1, 0},
		"refused, silent, there": {[]error{
			fmt.Errorf("kafka: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), fmt.Errorf("kafka: %w", context.DeadlineExceeded),
			&net.DNSError{Err: "no such host"}, nil,
		}, time.Minute, "", 4, 1750 * time.Millisecond},
		"wrong":            {[]error{wrong}, time.Minute, "password", 1, 0},
		"away, then wrong": {[]error{away, wrong}, time.Minute, "password", 2, 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				tries, began := 0, time.Now()
				_, err := start(t.Context(), c.timeout, slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) (struct{}, error) {
					tries++
					return struct{}{}, c.answers[min(tries, len(c.answers))-1]
				})
				if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				if took := time.Since(began); tries != c.tries || took != c.took {
					t.Errorf("%d tries in %v, want %d in %v", tries, took, c.tries, c.took)
				}
				if lines := strings.Count(log.String(), "does not answer"); lines != c.tries-1 {
					t.Errorf("%d lines in the log for %d tries:\n%s", lines, tries, log.String())
				}
			})
		})
	}
}

func TestStartIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := start(ctx, time.Minute, slog.New(slog.DiscardHandler), func(context.Context) (struct{}, error) {
			return struct{}{}, platform.Errorf(platform.KindUnavailable, "store_unavailable", "away")
		})
		if err == nil || !strings.Contains(err.Error(), "stopped before it was ready") || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestStartup(t *testing.T) {
	h := &startup{}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/v1/me": 503} {
		w := get(path)
		if w.Code != want || (want == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: got %d %v", path, w.Code, w.Header())
		}
	}
	if w := get("/v1/me"); w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"starting"`) {
		t.Errorf("got %v %s", w.Header(), w.Body)
	}
	h.open(http.NotFoundHandler())
	if w := get("/livez"); w.Code != http.StatusNotFound {
		t.Errorf("once open: got %d", w.Code)
	}
}
