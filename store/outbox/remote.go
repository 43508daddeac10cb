package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acme/platform/store"
)

// moveRemote moves events to a stream that is not in the store, of the one relay
// that there is, in a store with one writer: nobody waits for the stream. Rows are
// deleted only once the stream has them, which has the next ones meanwhile.
func (r *Relay) moveRemote(ctx context.Context, limit int, bad *refusal) (n int, dead []row, err error) {
	rows, err := r.read(ctx, 0, limit)
	if err != nil {
		return 0, nil, err
	}
	began := time.Now()
	p := r.publishBeside(ctx, rows, bad)
	for batch := 1; len(rows) > 0; batch++ {
		var next []row
		if limit > 1 && len(rows) == limit && batch < turnBatches && time.Since(began) < turnTime && ctx.Err() == nil {
			next, err = r.read(ctx, rows[limit-1].seq, limit)
		}
		<-p.done
		if err = errors.Join(p.err, err); err != nil {
			break
		}
		following := r.publishBeside(ctx, next, bad)
		if err = r.take(ctx, rows, p.dead); err != nil {
			<-following.done
			break
		}
		n, dead = n+len(rows), append(dead, p.dead...)
		p, rows = following, next
	}
	<-p.done
	if n > 0 { // what failed then is the first of another move, which fails alone
		return n, dead, nil
	}
	return 0, nil, err
}

// read returns the first rows after a number.
func (r *Relay) read(ctx context.Context, after int64, limit int) (rows []row, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, r.cross.relay, func(ctx context.Context, tx store.CrossTx) (err error) {
		rows, err = query(ctx, tx, `SELECT seq, id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data
			FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
		return err
	}, store.ReadOnly)
	return rows, err
}

// take deletes rows that the stream has, and dead-letters those that it never
// takes.
func (r *Relay) take(ctx context.Context, rows, dead []row) error {
	// As in moveInTurn.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTime)
	defer cancel()
	return r.cfg.DB.AcrossTenants(ctx, r.cross.relay, func(ctx context.Context, tx store.CrossTx) error {
		if err := remove(ctx, tx, rows); err != nil {
			return err
		}
		return r.deadLetter(ctx, tx, dead)
	})
}

// deleteTime bounds the delete of what was published.
const deleteTime = 5 * time.Second

// remove deletes exactly these rows: one with a number between theirs may have
// been committed since.
func remove(ctx context.Context, tx store.Queries, rows []row) error {
	args := make([]any, 0, removeMany)
	for len(rows) > 0 {
		n, text := 1, removeOneText
		if len(rows) >= removeMany {
			n, text = removeMany, removeManyText
		}
		args = args[:0]
		for _, w := range rows[:n] {
			args = append(args, w.seq)
		}
		if _, err := tx.Exec(ctx, text, args...); err != nil {
			return fmt.Errorf("outbox: delete: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

// removeMany is the length of the longer of two statements: constant texts are
// prepared once.
const removeMany = 50

var (
	removeOneText  = "DELETE FROM outbox WHERE seq IN (?)"
	removeManyText = "DELETE FROM outbox WHERE seq IN (?" + strings.Repeat(", ?", removeMany-1) + ")"
)
