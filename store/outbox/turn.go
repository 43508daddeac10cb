package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform/store"
)

// A turn ends after so many batches, or so much time, although there is more:
// what it has published is published again if it crashes before its commit.
const (
	turnBatches = 16
	turnTime    = time.Second
)

// meanwhileBatches is how many batches are claimed at most while the stream takes
// what it has, to be published together.
const meanwhileBatches = 4

// moveInTurn moves events to a stream that is not in the store, of a relay that
// is not the only one: one whose process ends in the middle loses its turn with
// the connection. A turn is several batches in one transaction: the stream takes
// one while the store finds several more, and one commit serves them all. The rows
// stay locked meanwhile, which turnTime and PublishTimeout bound.
func (r *Relay) moveInTurn(ctx context.Context, limit int, bad *refusal) (n int, dead []row, err error) {
	// What is published should be deleted although the relay is stopping:
	// otherwise it is published again.
	held, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnTime+r.cfg.PublishTimeout+deleteTime)
	defer cancel()
	err = r.cfg.DB.AcrossTenants(held, r.cross.relay, func(held context.Context, tx store.CrossTx) error {
		n, dead = 0, nil
		if err := r.dialect.takeTurn(held, tx); err != nil {
			return err
		}
		rows, err := r.dialect.claim(held, tx, limit)
		if err != nil {
			return err
		}
		began, left, more := time.Now(), turnBatches-1, limit > 1 && len(rows) == limit
		for publish := 1; len(rows) > 0; publish++ {
			p := r.publishBeside(held, rows, bad)
			var next []row
			if more && left > 0 && time.Since(began) < turnTime && ctx.Err() == nil {
				batches := min(left, meanwhileBatches)
				next, err = r.claimMeanwhile(held, tx, publish+1, batches*limit)
				left, more = left-batches, len(next) == batches*limit
			}
			<-p.done
			switch {
			case err != nil:
				return err
			case p.err != nil && publish == 1:
				return p.err
			case p.err != nil:
				// They are the first of another turn, which fails alone.
				if err := putBack(held, tx, publish); err != nil {
					return errors.Join(p.err, err)
				}
				return r.deadLetter(held, tx, dead)
			}
			n, dead, rows = n+len(rows), append(dead, p.dead...), next
		}
		return r.deadLetter(held, tx, dead)
	})
	return n, dead, err
}

// claimMeanwhile claims rows so that putBack can undo it.
func (r *Relay) claimMeanwhile(ctx context.Context, tx store.Queries, publish, limit int) ([]row, error) {
	if _, err := tx.Exec(ctx, fmt.Sprintf("SAVEPOINT publish_%d", publish)); err != nil {
		return nil, fmt.Errorf("outbox: claim: %w", err)
	}
	return r.dialect.claim(ctx, tx, limit)
}

// putBack undoes the claim for a publish, and those after it.
func putBack(ctx context.Context, tx store.Queries, publish int) error {
	if _, err := tx.Exec(ctx, fmt.Sprintf("ROLLBACK TO SAVEPOINT publish_%d", publish)); err != nil {
		return fmt.Errorf("outbox: put back: %w", err)
	}
	return nil
}
