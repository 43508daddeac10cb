package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/store"
)

const (
	// heartbeat is how often a silent stream says that it is alive, below the
	// minute after which proxies take it for dead.
	heartbeat = 20 * time.Second
	// writeTimeout ends a stream whose client does not read.
	writeTimeout = 10 * time.Second
)

// inboxEvent is what a live stream tells of an inbox.
type inboxEvent struct {
	Unread int    `json:"unread"`
	Latest string `json:"latest"`
}

func (s *Service) registerStream() {
	s.api.HandleHTTP(rest.Operation{
		ID: "notify.inbox.stream", Method: http.MethodGet, Path: "/v1/notify/inbox/stream",
		Access: platform.Authenticated(), Stream: true, Live: true, Summary: "Be told of changes of one's own inbox",
		Description: "Server-sent events. The first, and one after each change, is `inbox` with the number of unread messages " +
			"and the id of the latest message; then list the inbox. Changes in quick succession may be one event. " +
			"The stream ends by itself after a while: connect again.",
	}, rest.Description{
		Response: []rest.Media{{
			Type: "text/event-stream", Example: "event: inbox\ndata: {\"unread\":3,\"latest\":\"msg_06h19mwpv1d4j3smzwczwmfm8g\"}\n\n",
		}},
	}, s.serveStream)
}

func (s *Service) serveStream(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return err
	}
	st, err := s.live.open(ctx, p.Tenant, p.Subject)
	if err != nil {
		return err
	}
	defer s.live.close(st)
	// After the stream is open, so that no suspension falls between.
	if err := s.checkOpen(ctx, p.Tenant); err != nil {
		return err
	}
	current, err := s.inboxEvent(ctx, p.Tenant, p.Subject)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events until it has many
	out := eventWriter{w: w, rc: http.NewResponseController(w)}
	if out.inbox(current) == nil {
		s.follow(ctx, p, st, &out, current)
	}
	return nil // whatever happened, the answer has begun
}

// follow writes until the client leaves or does not read, the service stops, or
// the stream's time is over.
func (s *Service) follow(ctx context.Context, p platform.Principal, st *stream, out *eventWriter, current inboxEvent) {
	end := time.NewTimer(s.cfg.StreamTTL)
	defer end.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	stale := false // the store could not be read after a change
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.live.done:
			return
		case <-st.feed.ended:
			return
		case <-end.C:
			return
		case <-st.wake:
			stale = true
		case <-beat.C:
			if out.comment() != nil {
				return
			}
		}
		if !stale {
			continue
		}
		next, err := s.inboxEvent(ctx, p.Tenant, p.Subject)
		if err != nil {
			if ctx.Err() == nil {
				s.log.WarnContext(ctx, "a live stream cannot read its inbox", slog.String("tenant", string(p.Tenant)), slog.Any("error", err))
			}
			continue // with the next beat
		}
		stale = false
		if next == current {
			continue
		}
		if out.inbox(next) != nil {
			return
		}
		current = next
	}
}

// inboxEvent reads the present state of an inbox.
func (s *Service) inboxEvent(ctx context.Context, tenant platform.TenantID, user string) (inboxEvent, error) {
	var e inboxEvent
	err := s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		e = inboxEvent{}
		if err := readUnread(ctx, tx, user, &e.Unread); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT message_id FROM notify_inbox WHERE tenant = ? AND user_id = ?
ORDER BY created_at DESC, message_id DESC LIMIT 1`, tenant, user).Scan(&e.Latest)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}, store.ReadOnly)
	if err != nil {
		return e, fmt.Errorf("notify: inbox: %w", err)
	}
	return e, nil
}

// eventWriter writes server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (e *eventWriter) inbox(event inboxEvent) error {
	data, err := json.Marshal(event)
	if err != nil { // a number and a string always marshal
		return err
	}
	return e.write("event: inbox\ndata: " + string(data) + "\n\n")
}

func (e *eventWriter) comment() error { return e.write(":\n\n") }

func (e *eventWriter) write(text string) error {
	err := e.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.rc.Flush()
}
