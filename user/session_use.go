package user

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/acme/platform/store"
)

// useResolution is how exact the last use of a cookie is, so that not each request
// writes it. With the time until it is written, an idle session may end up to
// 90 s early, and never late.
const useResolution = time.Minute

// grantUses collects when the grants of cookies were last used, to be written
// together.
type grantUses struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (u *grantUses) note(grant string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = make(map[string]time.Time)
	}
	u.last[grant] = now
}

// take returns what was collected and begins again.
func (u *grantUses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.last
	u.last = nil
	return taken
}

// writeUses writes the collected times. What fails is lost: the session then ends
// early.
func (s *Service) writeUses(ctx context.Context) error {
	uses := s.uses.take()
	if len(uses) == 0 {
		return nil
	}
	return s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		for _, id := range slices.Sorted(maps.Keys(uses)) { // in the order in which other processes take them
			at := micros(uses[id])
			if _, err := tx.Exec(ctx, `UPDATE user_session_grants SET last_used_at = ?, idle_until = ? + (idle_until - last_used_at)
				WHERE id = ? AND last_used_at < ? AND revoked_at = 0`, at, at, id, at); err != nil {
				return err
			}
		}
		return nil
	}, store.Reserved)
}
