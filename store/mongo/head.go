package mongo

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform/internal/background"
)

func (d *Documents) head(ctx context.Context, sc scope, name string) (*head, error) {
	var h head
	found, err := d.heads.get(ctx, sc.id(name), &h)
	if err != nil || !found {
		return nil, err
	}
	return &h, nil
}

// settled returns the head of a collection with every commit carried out, nil
// where there is none. Where another call is at it, it waits up to patience, and
// then does it too; the head may then still name the commit.
func (d *Documents) settled(ctx context.Context, sc scope, name string, patience time.Duration) (*head, error) {
	for pause := time.Millisecond; ; pause *= 2 {
		h, err := d.head(ctx, sc, name)
		if err != nil || h == nil || h.Txn == "" {
			return h, err
		}
		if patience > 0 {
			background.Sleep(ctx, d.jitter(pause))
			patience -= pause
			continue
		}
		done, err := d.finish(ctx, sc, name, h)
		if err != nil || done {
			return h, err
		}
	}
}

// How long a call waits for another's commit to be carried out.
const (
	writerPatience = 30 * time.Millisecond
	readerPatience = 5 * time.Millisecond
)

func (d *Documents) jitter(t time.Duration) time.Duration {
	return t/2 + time.Duration(d.cfg.Rand()*float64(t)/2)
}

// finish writes what the last commit of a head has decided, and where that is
// not part of the head, notes it. It is done where others have not gone on
// meanwhile.
func (d *Documents) finish(ctx context.Context, sc scope, name string, h *head) (done bool, err error) {
	r, err := d.load(ctx, sc, h)
	if errors.Is(err, errMoved) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := d.carryOut(ctx, sc, h, r); err != nil {
		return false, err
	}
	if err := d.tidy(ctx, sc, h, r); err != nil {
		return false, err
	}
	if h.Redo.Parts == 0 && !r.Gone {
		return true, nil
	}
	return false, d.note(ctx, sc, name, h, r)
}

// note records that the commit of a head is written.
func (d *Documents) note(ctx context.Context, sc scope, name string, h *head, r *redo) error {
	same := guard{{Key: "number", Value: h.Number}, {Key: "txn", Value: h.Txn}}
	var err error
	if r.Gone {
		err = d.heads.drop(ctx, sc.id(name), same)
	} else {
		_, err = d.heads.set(ctx, sc.id(name), same, bson.D{
			{Key: "$set", Value: bson.D{{Key: "txn", Value: ""}}},
			{Key: "$unset", Value: bson.D{{Key: "redo", Value: ""}, {Key: "pending", Value: ""}}},
		})
	}
	if err != nil || h.Redo.Parts == 0 {
		return err
	}
	return d.dropParts(ctx, sc, h) // last: without them nobody could finish
}

// commit makes next follow base, with what is to be written for it, and reports
// whether it did; it does not where something else has come to follow base. It
// is carried through whatever happens to ctx. An error is KindUnavailable where
// the outcome cannot be known.
func (d *Documents) commit(ctx context.Context, sc scope, name string, base, next *head, r *redo) (bool, error) {
	ctx = context.WithoutCancel(ctx)
	follow(base, next)
	if r.empty() {
		next.Txn, next.Redo, next.Pending = "", nil, false
	}
	txn := newName()
	next.Recent = append(next.Recent, txn)
	if !r.empty() {
		next.Txn, next.Pending = txn, true
		var err error
		if next.Redo, err = d.spill(ctx, sc, name, base, txn, r); err != nil {
			return false, err
		}
	}
	ok, err := d.heads.swap(ctx, sc.id(name), stateOf(base), next)
	if err != nil {
		ok, err = d.outcome(ctx, sc, name, base, txn, err)
	}
	if !ok && err == nil && next.Redo != nil && next.Redo.Parts > 0 {
		err = d.dropParts(ctx, sc, next)
	}
	return ok, err
}

// follow sets what every commit changes.
func follow(base, next *head) {
	next.Seq = base.Seq + 1
	next.Recent = slices.Clone(base.Recent[max(0, len(base.Recent)-recentCommits+1):])
}

// stateOf is true of the row as long as it is base.
func stateOf(base *head) guard {
	return guard{
		{Key: "number", Value: base.Number}, {Key: "seq", Value: base.Seq}, {Key: "txn", Value: base.Txn},
	}
}

// outcome finds out whether a commit came to be whose answer was lost. Where it
// did not, it sees to it that it never will: the command may still be under way.
func (d *Documents) outcome(ctx context.Context, sc scope, name string, base *head, txn string, lost error) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	for pause := time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		h, err := d.head(ctx, sc, name)
		switch {
		case err != nil:
		case h == nil:
			return false, lost // dropped, perhaps by this very commit
		case slices.Contains(h.Recent, txn):
			return true, nil
		case h.Number != base.Number:
			return false, lost
		case h.Seq > base.Seq && h.Seq-base.Seq < recentCommits:
			return false, nil
		case h.Seq > base.Seq:
			return false, lost
		default:
			// Whoever names a base knows that what led to it is written.
			next := *h
			follow(h, &next)
			next.Txn, next.Redo, next.Pending = "", nil, false
			if done, err := d.heads.swap(ctx, sc.id(name), stateOf(h), next); done && err == nil {
				return false, nil
			}
		}
		background.Sleep(ctx, d.jitter(pause))
	}
	return false, lost
}
