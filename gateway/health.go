package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/acme/platform"
)

// readyFor is how long one look at the health is good for: whoever asks more
// often costs the modules nothing.
const readyFor = 100 * time.Millisecond

// readiness answers /readyz.
type readiness struct {
	gateway *Gateway

	mu   sync.Mutex
	at   time.Time
	last platform.Health
}

func (h *readiness) look(ctx context.Context) platform.Health {
	report := h.gateway.health.Load()
	if report == nil {
		return platform.Health{Ready: true}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.gateway.cfg.Now(); h.at.IsZero() || now.Sub(h.at) >= readyFor || now.Before(h.at) {
		// The answer serves others too, so it must not end with this caller.
		h.last, h.at = (*report)(context.WithoutCancel(ctx)), now
	}
	return h.last
}

func (h *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	health := h.look(r.Context())
	answer := struct {
		Status  string            `json:"status"`
		Modules map[string]string `json:"modules"`
	}{"ready", make(map[string]string, len(health.Modules))}
	for name, err := range health.Modules {
		answer.Modules[name] = "ok"
		if err != nil {
			answer.Modules[name] = "failed"
			h.gateway.cfg.Logger.WarnContext(r.Context(), "not ready", slog.String("module", name), slog.Any("error", err))
		}
	}
	status := http.StatusOK
	if !health.Ready {
		status, answer.Status = http.StatusServiceUnavailable, "not_ready"
	}
	body, err := json.Marshal(answer)
	if err != nil { // strings always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// live answers /livez: whoever can answer is alive.
func live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"alive"}`))
}
