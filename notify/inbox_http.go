package notify

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type inboxItemWire struct {
	ID        string     `json:"id"`
	Title     string     `json:"title"`
	Body      string     `json:"body"`
	CreatedAt time.Time  `json:"created_at"`
	ReadAt    *time.Time `json:"read_at" doc:"Null is unread"`
}

type inboxInput struct {
	page.Input
	Unread bool `query:"unread" doc:"Only what has not been read"`
}

type inboxWire struct {
	Data       []inboxItemWire `json:"data" nullable:"false"`
	Unread     int             `json:"unread" doc:"Unread messages in the whole inbox"`
	NextCursor string          `json:"next_cursor,omitempty" doc:"Absent on the last page"`
}

type readAllWire struct {
	Read int `json:"read" doc:"How many messages were unread before"`
}

func wireItem(i InboxItem) inboxItemWire {
	return inboxItemWire{ID: i.ID, Title: i.Title, Body: i.Body, CreatedAt: i.CreatedAt, ReadAt: optional(i.ReadAt)}
}

func (s *Service) registerInbox() {
	handle(s, operation("notify.inbox.list", http.MethodGet, "/v1/notify/inbox", "", "List one's own inbox, newest first"), s.httpInbox)
	handle(s, operation("notify.inbox.read", http.MethodPost, "/v1/notify/inbox/{id}/read", "", "Mark a message of one's inbox as read"), s.httpRead)
	handle(s, operation("notify.inbox.readAll", http.MethodPost, "/v1/notify/inbox/read-all", "", "Mark one's whole inbox as read"), s.httpReadAll)
	if s.live != nil {
		s.registerStream()
	}
}

func (s *Service) httpInbox(ctx context.Context, p platform.Principal, in *inboxInput) (*ok[inboxWire], error) {
	got, err := s.Inbox(ctx, p, InboxQuery{Unread: in.Unread, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	out := &ok[inboxWire]{inboxWire{Data: make([]inboxItemWire, len(got.Items)), Unread: got.Unread, NextCursor: got.Next}}
	for i, item := range got.Items {
		out.Body.Data[i] = wireItem(item)
	}
	return out, nil
}

func (s *Service) httpRead(ctx context.Context, p platform.Principal, in *byID) (*ok[inboxItemWire], error) {
	item, err := s.Read(ctx, p, in.ID, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &ok[inboxItemWire]{wireItem(item)}, nil
}

func (s *Service) httpReadAll(ctx context.Context, p platform.Principal, _ *struct{}) (*ok[readAllWire], error) {
	n, err := s.ReadAll(ctx, p, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &ok[readAllWire]{readAllWire{n}}, nil
}
