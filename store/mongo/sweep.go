package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// sweeper finishes and tidies up what processes left that died. What it takes
// for a leftover may be alive: whatever it removes it removes in such a way
// that a call that still counts on it begins anew. Only one goroutine uses it.
type sweeper struct {
	d       *Documents
	last    time.Time            // of a sweep
	looked  time.Time            // at pending commits
	pending map[string]string    // the commits that the last look saw
	builds  map[string]buildSeen // by name of the build
	parts   map[string]bool      // that the last sweep saw
}

type buildSeen struct {
	filled int64
	since  time.Time
}

// pendingLook is how often commits are looked at that nobody may be carrying
// out.
const pendingLook = time.Second

func (s *sweeper) sweep(ctx context.Context) error {
	if time.Since(s.looked) >= pendingLook {
		s.looked = time.Now()
		if err := s.finishCommits(ctx); err != nil {
			return err
		}
	}
	if time.Since(s.last) < s.d.cfg.Grace/2 {
		return nil
	}
	s.last = time.Now()
	for _, sweep := range []func(context.Context) error{
		s.endBuilds, s.removeShells, s.removeParts, s.clearDropped, s.trimDead,
	} {
		if err := sweep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finishCommits carries out the commits that were there at the last look too.
func (s *sweeper) finishCommits(ctx context.Context) error {
	heads, err := s.d.everyTenant.pending(ctx)
	if err != nil {
		return err
	}
	seen := make(map[string]string)
	for id, h := range heads {
		if h.Redo == nil { // noted since it was found
			continue
		}
		if s.pending[id] != h.Txn {
			seen[id] = h.Txn
			continue
		}
		sc, name := scopeOf(id), rest(id, 0)
		done, err := s.d.finish(ctx, sc, name, h)
		if err != nil {
			return err
		}
		if done {
			if err := s.d.note(ctx, sc, name, h, &redo{}); err != nil {
				return err
			}
		}
	}
	s.pending = seen
	return nil
}

// endBuilds removes the indexes of builds that do not get on.
func (s *sweeper) endBuilds(ctx context.Context) error {
	heads, err := s.d.everyTenant.building(ctx)
	if err != nil {
		return err
	}
	seen := make(map[string]buildSeen)
	for id, h := range heads {
		for _, x := range h.Indexes {
			if x.Build == "" {
				continue
			}
			was, known := s.builds[x.Build]
			if !known || was.filled != x.Filled {
				was = buildSeen{x.Filled, time.Now()}
			}
			if time.Since(was.since) >= s.d.cfg.Grace {
				s.d.abandon(ctx, scopeOf(id), rest(id, 0), x.Build)
				continue
			}
			seen[x.Build] = was
		}
	}
	s.builds = seen
	return nil
}

// removeShells removes the places of documents that nobody inserted.
func (s *sweeper) removeShells(ctx context.Context) error {
	old := s.d.cfg.Now().Add(-s.d.cfg.Grace).UnixMicro()
	shells, err := leftovers[documentRow](ctx, s.d.everyTenant.documents, bson.D{
		{Key: "shell", Value: bson.D{{Key: "$gt", Value: ""}}}, {Key: "updated", Value: bson.D{{Key: "$lt", Value: old}}},
	})
	for i := 0; i < len(shells) && err == nil; i++ {
		err = s.removeShell(ctx, shells[i].id, shells[i].row)
	}
	return err
}

func (s *sweeper) removeShell(ctx context.Context, at string, row documentRow) error {
	number, id := firstPart(rest(at, 0)), readID(rest(at, 1))
	// As a commit, so that a call that means to fill it begins anew.
	err := s.d.alone(ctx, scopeOf(at), row.Shell, func(ctx context.Context, b *batch) error {
		if b.base.Number != number {
			return errNoCollection
		}
		if err := b.loadDocuments(ctx, []string{id}); err != nil {
			return err
		}
		if now := b.docs[id]; now.record != nil || now.token != row.Token {
			return errNothing // a call was quicker
		}
		b.redo.Documents = []documentChange{{ID: id, From: row.Token}}
		return nil
	})
	if errors.Is(err, errNoCollection) {
		same := guard{{Key: "token", Value: row.Token}, {Key: "shell", Value: row.Shell}}
		return s.d.documents.drop(ctx, rowID{at}, same)
	}
	return err
}

// removeParts removes the large commits that never came to be.
func (s *sweeper) removeParts(ctx context.Context) error {
	parts, err := leftovers[partRef](ctx, s.d.everyTenant.parts, bson.D{})
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, p := range parts {
		sc := scopeOf(p.id)
		h, err := s.d.head(ctx, sc, p.row.Of)
		if err != nil {
			return err
		}
		switch {
		case h != nil && h.Number == p.row.Number && h.Txn == firstPart(rest(p.id, 0)):
			// It is being carried out.
		case h == nil || h.Number != p.row.Number || h.Seq > p.row.Seq:
			err = s.d.parts.drop(ctx, rowID{p.id}, nil)
		case s.parts[p.id]:
			// It may yet come to be, unless something else does.
			err = s.d.alone(ctx, sc, p.row.Of, func(context.Context, *batch) error { return nil })
		default:
			seen[p.id] = true
		}
		if err != nil {
			return err
		}
	}
	s.parts = seen
	return nil
}

// clearDropped clears what was dropped, again after some time, for who came
// late, and then forgets it.
func (s *sweeper) clearDropped(ctx context.Context) error {
	old := s.d.cfg.Now().Add(-s.d.cfg.Grace).UnixMicro()
	all, err := leftovers[dropRow](ctx, s.d.everyTenant.dropped, bson.D{})
	for i := 0; i < len(all) && err == nil; i++ {
		if err = s.d.clearNumber(ctx, scopeOf(all[i].id), rest(all[i].id, 0)); err == nil && all[i].row.At < old {
			err = s.d.dropped.drop(ctx, rowID{all[i].id}, nil)
		}
	}
	return err
}

// clearNumber removes all rows of a collection or an index.
func (d *Documents) clearNumber(ctx context.Context, sc scope, number string) error {
	for _, t := range []table{d.documents, d.entries, d.claims, d.schemas} {
		if err := t.clear(ctx, sc.under(number)); err != nil {
			return err
		}
	}
	return nil
}

// clearDropped clears what a call has dropped. What it leaves the sweeper does.
func (d *Documents) clearDropped(ctx context.Context, sc scope, numbers []string) {
	for _, number := range numbers {
		if err := d.clearNumber(ctx, sc, number); err != nil {
			return
		}
	}
}

func (s *sweeper) trimDead(ctx context.Context) error {
	return s.d.everyTenant.trimDead(ctx, s.d.cfg.Now().Add(-s.d.cfg.DeadRetention).UnixMicro())
}
