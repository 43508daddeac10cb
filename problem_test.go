package platform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
)

func TestStatusOfEveryKind(t *testing.T) {
	seen := map[int]bool{}
	for k := platform.KindInternal; k <= platform.KindNoTenant; k++ {
		status := k.Status()
		if status < 400 || status > 599 {
			t.Errorf("%v: %d", k, status)
		}
		if k != platform.KindNoTenant && seen[status] {
			t.Errorf("%v shares its status %d", k, status)
		}
		seen[status] = true
	}
	if platform.Kind(99).Status() != http.StatusInternalServerError {
		t.Error("an unknown kind must be an internal one")
	}
}

func TestProblemFrom(t *testing.T) {
	ctx := platform.WithRequestID(t.Context(), "req_1")
	secret := errors.New("password=hunter2")
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"typed":             {platform.Errorf(platform.KindConflict, "email_taken", "the e-mail is taken").Because(secret), 409, "email_taken"},
		"wrapped":           {fmt.Errorf("user: %w", platform.NotFound("key").Because(secret)), 404, "not_found"},
		"unknown":           {secret, 500, "internal"},
		"internal":          {platform.Errorf(platform.KindInternal, "x", "hunter2"), 500, "internal"},
		"no tenant":         {platform.TenantID("").Validate(), 500, "internal"},
		"too large a body":  {fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 10}), 413, "body_too_large"},
		"out of time":       {context.DeadlineExceeded, 504, "timeout"},
		"given up":          {context.Canceled, 503, "canceled"},
		"limited for a bit": {&platform.Error{Kind: platform.KindLimited, Message: "slow down", RetryAfter: 1500 * time.Millisecond}, 429, "limited"},
	} {
		t.Run(name, func(t *testing.T) {
			p := platform.ProblemFrom(ctx, c.err)
			raw, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if p.Status != c.status || p.Code != c.code || p.RequestID != "req_1" || !strings.HasSuffix(p.Type, ":"+c.code) {
				t.Errorf("got %s", raw)
			}
			if bytes.Contains(raw, []byte("hunter2")) {
				t.Errorf("a cause shows: %s", raw)
			}
		})
	}
	if p := platform.NewProblem(ctx, http.StatusMethodNotAllowed, "method_not_allowed", "no"); platform.ProblemFrom(ctx, fmt.Errorf("wrapped: %w", p)) != p {
		t.Error("an error that is a problem must stay the one it is")
	}
	if got := platform.ProblemFrom(ctx, &platform.Error{Kind: platform.KindLimited, RetryAfter: 1500 * time.Millisecond}).Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After is %q, it must not be early", got)
	}
}

func TestWriteProblem(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	write := func(err error) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		platform.WriteProblem(w, httptest.NewRequest("GET", "/", nil), logger, err)
		return w
	}
	w := write(platform.Invalid(platform.Field{Path: "/email", Code: "required", Detail: "an e-mail is needed"}))
	if w.Code != 422 || w.Header().Get("Content-Type") != platform.ProblemContentType || w.Header().Get("Cache-Control") != "no-store" ||
		!strings.Contains(w.Body.String(), `"errors":[{"path":"/email","code":"required","detail":"an e-mail is needed"}]`) {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	if log.Len() != 0 {
		t.Errorf("a caller's mistake is logged: %s", log.String())
	}
	if w = write(&platform.Error{Kind: platform.KindUnauthenticated}); w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("got %v", w.Header())
	}
	if write(errors.New("disk on fire")); !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("the cause is not logged: %s", log.String())
	}
}
