package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// InboxItem is a message in the inbox of a user.
type InboxItem struct {
	ID          string // the message's
	Title, Body string
	CreatedAt   time.Time
	ReadAt      time.Time // zero is unread
}

// InboxQuery asks for a page of an inbox.
type InboxQuery struct {
	Unread bool   // only what has not been read
	Limit  int    // 1 to 200; zero is 50
	Cursor string // the Next of the page before
}

// InboxPage is a page of an inbox, newest first.
type InboxPage struct {
	Items  []InboxItem
	Unread int // in the whole inbox
	Next   string
}

const inboxList = "notify.inbox"

// inboxBatch is how many entries one transaction of ReadAll marks, so that a
// full inbox does not hold the store's writer.
const inboxBatch = 2000

// Inbox returns a page of the user's inbox. Error: KindMalformed for a cursor
// of another list.
func (s *Service) Inbox(ctx context.Context, p platform.Principal, q InboxQuery) (InboxPage, error) {
	if err := p.RequireTenant(); err != nil {
		return InboxPage{}, err
	}
	if q.Limit <= 0 || q.Limit > 200 {
		q.Limit = 50
	}
	list := inboxList
	if q.Unread {
		list += ".unread"
	}
	before, id, err := timeKey(list, q.Cursor)
	if err != nil {
		return InboxPage{}, err
	}
	only := ""
	if q.Unread {
		only = "AND i.read_at IS NULL "
	}
	var out InboxPage
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		out = InboxPage{}
		if err := readUnread(ctx, tx, p.Subject, &out.Unread); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT i.message_id, i.created_at, coalesce(i.read_at, 0), m.title, m.body
FROM notify_inbox i JOIN notify_messages m ON m.tenant = i.tenant AND m.id = i.message_id
WHERE i.tenant = ? AND i.user_id = ? AND (i.created_at, i.message_id) < (?, ?) `+only+`
ORDER BY i.created_at DESC, i.message_id DESC LIMIT ?`, p.Tenant, p.Subject, before, id, q.Limit+1)
		items, err := collect(rows, err, func(rows *sql.Rows) (i InboxItem, err error) {
			var created, read int64
			err = rows.Scan(&i.ID, &created, &read, &i.Title, &i.Body)
			i.CreatedAt, i.ReadAt = micros(created), micros(read)
			return i, err
		})
		out.Items, out.Next = page.Cut(list, items, q.Limit, func(i InboxItem) []string { return timeCursor(i.CreatedAt, i.ID) })
		return err
	}, store.ReadOnly)
	if err != nil {
		return InboxPage{}, fmt.Errorf("notify: inbox: %w", err)
	}
	return out, nil
}

// timeKey reads a cursor over (created_at, id), newest first; without one it
// is before everything.
func timeKey(list, cursor string) (int64, string, error) {
	key, err := page.Key(list, 2, cursor)
	if err != nil {
		return 0, "", err
	}
	if key == nil {
		return math.MaxInt64, "", nil
	}
	at, err := strconv.ParseInt(key[0], 10, 64)
	if err != nil {
		return 0, "", page.BadCursor()
	}
	return at, key[1], nil
}

func timeCursor(at time.Time, id string) []string {
	return []string{strconv.FormatInt(at.UnixMicro(), 10), id}
}

func readUnread(ctx context.Context, tx store.Tx, user string, n *int) error {
	err := tx.QueryRow(ctx, `SELECT unread FROM notify_unread WHERE tenant = ? AND user_id = ?`, tx.Tenant(), user).Scan(n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

// Read marks a message of the user's inbox as read; it may be read already.
// Error: KindNotFound where it is not in that inbox.
func (s *Service) Read(ctx context.Context, p platform.Principal, message string, keys ...*platform.IdempotencyKey) (InboxItem, error) {
	if err := p.RequireTenant(); err != nil {
		return InboxItem{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.inbox.read", message)
	if err != nil {
		return InboxItem{}, err
	}
	var item InboxItem
	err = inTenantLarge(ctx, s, p, call, &item, &item.ID, s.readItem(p.Subject), func(ctx context.Context, tx store.Tx) error {
		var err error
		if item, err = s.readItem(p.Subject)(ctx, tx, message); err != nil || !item.ReadAt.IsZero() {
			return err
		}
		now := s.cfg.Now().UnixMicro()
		item.ReadAt = micros(now)
		n, err := affected(tx.Exec(ctx, `UPDATE notify_inbox SET read_at = ?
WHERE tenant = ? AND user_id = ? AND created_at = ? AND message_id = ? AND read_at IS NULL`, now, p.Tenant, p.Subject, item.CreatedAt.UnixMicro(), message))
		if err != nil {
			return fmt.Errorf("notify: mark as read: %w", err)
		}
		return s.subtractUnread(ctx, tx, p.Subject, n)
	})
	return item, err
}

// readItem reads entries of a user's inbox by the message's id.
func (s *Service) readItem(user string) func(ctx context.Context, tx store.Tx, message string) (InboxItem, error) {
	return func(ctx context.Context, tx store.Tx, message string) (InboxItem, error) {
		item := InboxItem{ID: message}
		var created, read int64
		err := tx.QueryRow(ctx, `SELECT m.title, m.body, i.created_at, coalesce(i.read_at, 0) FROM notify_messages m
JOIN notify_inbox i ON i.tenant = m.tenant AND i.user_id = ? AND i.created_at = m.created_at AND i.message_id = m.id
WHERE m.tenant = ? AND m.id = ?`, user, tx.Tenant(), message).Scan(&item.Title, &item.Body, &created, &read)
		if errors.Is(err, sql.ErrNoRows) {
			return InboxItem{}, platform.NotFound("message")
		}
		if err != nil {
			return InboxItem{}, fmt.Errorf("notify: read message: %w", err)
		}
		item.CreatedAt, item.ReadAt = micros(created), micros(read)
		return item, nil
	}
}

// ReadAll marks as read all that is in the user's inbox now, and returns how
// many those were. It works in several transactions: what comes meanwhile
// stays unread, and a failure leaves the older part unread. A second call with
// the same idempotency key goes on with what a failure left, and marks nothing
// once the first has ended.
func (s *Service) ReadAll(ctx context.Context, p platform.Principal, keys ...*platform.IdempotencyKey) (int, error) {
	if err := p.RequireTenant(); err != nil {
		return 0, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.inbox.readAll", nil)
	if err != nil {
		return 0, err
	}
	total := 0
	until := s.stamp()
	for more := true; more; {
		n, earlier := 0, 0
		err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
			replayed, err := call.Begin(ctx, tx, &earlier)
			if more = false; err != nil || replayed {
				return err
			}
			// The batch is a range, so that all of it is read afterwards, by
			// whomever; without a last entry it is all there is.
			var (
				since int64
				last  string
			)
			err = tx.QueryRow(ctx, `SELECT created_at, message_id FROM notify_inbox
WHERE tenant = ? AND user_id = ? AND read_at IS NULL AND created_at <= ?
ORDER BY created_at DESC, message_id DESC LIMIT 1 OFFSET ?`, p.Tenant, p.Subject, until, inboxBatch-1).Scan(&since, &last)
			if more = err == nil; !more && !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("notify: count unread messages: %w", err)
			}
			n, err = affected(tx.Exec(ctx, `UPDATE notify_inbox SET read_at = ?
WHERE tenant = ? AND user_id = ? AND read_at IS NULL AND created_at <= ? AND (created_at, message_id) >= (?, ?)`,
				s.cfg.Now().UnixMicro(), p.Tenant, p.Subject, until, since, last))
			if err != nil {
				return fmt.Errorf("notify: mark all as read: %w", err)
			}
			if err := s.subtractUnread(ctx, tx, p.Subject, n); err != nil || more {
				return err
			}
			return call.Keep(ctx, tx, total+n)
		})
		if err != nil {
			return total, err
		}
		if idempotency.Only(keys).Replayed() {
			return earlier, nil
		}
		total += n
	}
	return total, nil
}

func (s *Service) subtractUnread(ctx context.Context, tx store.Tx, user string, n int) error {
	if n == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE notify_unread SET unread = unread - ? WHERE tenant = ? AND user_id = ?`, n, tx.Tenant(), user)
	if err != nil {
		return fmt.Errorf("notify: count unread: %w", err)
	}
	s.inboxChanged(tx, []string{user})
	return nil
}

func affected(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}
