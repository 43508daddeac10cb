package sqlevents

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform/store"
)

// errLeaseLost is why a consumer stops in the middle: another one may be at
// work for its group.
var errLeaseLost = errors.New("events: the lease of the group was lost")

// acquire takes the group's lease for owner if nobody has it, and returns the
// last event that the group has finished.
func (e *Events) acquire(ctx context.Context, group, owner string) (seq int64, held bool, err error) {
	// Most looks of a consumer that stands by are in vain, so they do not
	// begin by waiting for the writer.
	taken := false
	err = e.cfg.DB.AcrossTenants(ctx, e.cross.consume, func(ctx context.Context, tx store.CrossTx) error {
		var expires int64
		err := tx.QueryRow(ctx, `SELECT expires FROM event_offsets WHERE consumer_group = ?`, group).Scan(&expires)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		taken = expires > e.cfg.Now().UnixMicro()
		return err
	}, store.ReadOnly)
	if err != nil || taken {
		return 0, false, wrap("look for the lease", err)
	}
	err = e.cfg.DB.AcrossTenants(ctx, e.cross.consume, func(ctx context.Context, tx store.CrossTx) error {
		now := e.cfg.Now()
		// seq 0 is before every event: a new group begins with the oldest.
		err := tx.QueryRow(ctx, `INSERT INTO event_offsets (consumer_group, seq, owner, expires, lost) VALUES (?, 0, ?, ?, 0)
			ON CONFLICT (consumer_group) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
			WHERE event_offsets.expires <= ? RETURNING seq`,
			group, owner, now.Add(e.cfg.Lease).UnixMicro(), now.UnixMicro()).Scan(&seq)
		held = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return err
	})
	return seq, held && err == nil, wrap("take the lease", err)
}

// endLeases frees all groups, for a process that knows that no other one lives.
func (e *Events) endLeases(ctx context.Context) error {
	return e.cfg.DB.AcrossTenants(ctx, e.cross.consume, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `UPDATE event_offsets SET owner = '', expires = 0`)
		return wrap("end leases", err)
	}, store.Reserved)
}

// renew extends the lease and stores seq as the last finished event; it
// returns [errLeaseLost] where the lease is another's.
func (e *Events) renew(ctx context.Context, group, owner string, seq int64) error {
	return e.setOffset(ctx, group, owner, seq, owner, e.cfg.Now().Add(e.cfg.Lease).UnixMicro())
}

// releaseTime bounds the last write of a consumer, which is made although its
// context is done.
const releaseTime = 5 * time.Second

// release stores seq and lets others have the lease at once.
func (e *Events) release(ctx context.Context, group, owner string, seq int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	defer e.wakeAll()
	return e.setOffset(ctx, group, owner, seq, "", 0)
}

func (e *Events) setOffset(ctx context.Context, group, owner string, seq int64, next string, expires int64) error {
	return e.cfg.DB.AcrossTenants(ctx, e.cross.consume, func(ctx context.Context, tx store.CrossTx) error {
		// The stored offset may be ahead where the trimmer moved it.
		res, err := tx.Exec(ctx, `UPDATE event_offsets SET seq = CASE WHEN seq > ? THEN seq ELSE ? END, owner = ?, expires = ?
			WHERE consumer_group = ? AND owner = ?`, seq, seq, next, expires, group, owner)
		if err != nil {
			return fmt.Errorf("events: store the offset: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return fmt.Errorf("events: store the offset: %w", err)
		} else if n == 0 {
			return errLeaseLost
		}
		return nil
	})
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("events: %s: %w", what, err)
}
