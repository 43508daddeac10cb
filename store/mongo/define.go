package mongo

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/docchange"
)

var (
	errCollectionExists = platform.Errorf(platform.KindConflict, "collection_exists", "there is a collection of that name")
	errStaleCollection  = platform.Errorf(platform.KindStale, "stale", "the collection has changed")
)

// PutCollection implements [store.Documents]. Changes of documents go on while
// it fills new indexes.
func (d *Documents) PutCollection(ctx context.Context, tenant platform.TenantID, c store.Collection, events ...platform.Event) (store.Collection, error) {
	if err := d.enter(tenant); err != nil {
		return store.Collection{}, err
	}
	sc := scope{tenant}
	if err := checkEvents(sc, events); err != nil {
		return store.Collection{}, err
	}
	if c.Version == 0 {
		return d.create(ctx, sc, c, events)
	}
	return d.change(ctx, sc, c, events)
}

// create makes a collection: first a head that nobody sees yet, if there is
// none, so that what follows is a commit like any other.
func (d *Documents) create(ctx context.Context, sc scope, c store.Collection, events []platform.Event) (store.Collection, error) {
	if err := ctx.Err(); err != nil {
		return store.Collection{}, fault("create", err)
	}
	var out store.Collection
	j := &job{ctx: ctx, creates: true, alone: func(ctx context.Context, b *batch) (err error) {
		if b.base.Version != 0 {
			return errCollectionExists
		}
		if b.next.Indexes, err = keepIndexes(nil, c.Indexes, ""); err != nil {
			return err
		}
		b.next.Version, b.next.Indexed, b.next.Created, b.next.Updated = 1, b.base.Seq+1, b.now, b.now
		b.redo.setSchema(b.next, c.Schema)
		if err := b.redo.emit(ctx, d, sc, events); err != nil {
			return err
		}
		out, err = b.next.public(c.Name, string(c.Schema))
		return err
	}}
	for {
		err := d.do(sc, c.Name, j)
		if !errors.Is(err, errNoCollection) {
			return out, err
		}
		if _, err := d.heads.insert(ctx, sc.id(c.Name), head{Number: newName()}); err != nil {
			return store.Collection{}, err
		}
		j = &job{ctx: ctx, creates: true, alone: j.alone}
	}
}

// setSchema makes schema that of the collection.
func (r *redo) setSchema(h *head, schema []byte) {
	h.Schema = ""
	if len(schema) > 0 {
		h.Schema, r.Schema = newName(), string(schema)
	}
}

// emit puts events into a redo.
func (r *redo) emit(ctx context.Context, d *Documents, sc scope, events []platform.Event) (err error) {
	if len(events) == 0 {
		return nil
	}
	for _, event := range events {
		r.Events = append(r.Events, newEventRow(ctx, event))
	}
	r.Order, err = d.sequences.next(ctx, sc.id("events"))
	return err
}

// keepIndexes returns what stands in the head for the indexes that are asked
// for: those of old that are the same, and new ones with the mark of the call
// that builds them.
func keepIndexes(old []storedIndex, asked []store.Index, build string) ([]storedIndex, error) {
	left := slices.Clone(old)
	var out []storedIndex
	for _, a := range asked {
		s := storedIndex{Unique: a.Unique}
		for _, f := range a.Fields {
			s.Fields = append(s.Fields, f.String())
		}
		i := slices.IndexFunc(left, func(l storedIndex) bool {
			return l.Unique == s.Unique && slices.Equal(l.Fields, s.Fields) && (l.Build == "" || l.Build == build)
		})
		if i >= 0 {
			out = append(out, left[i])
			left = slices.Delete(left, i, i+1)
			continue
		}
		s.Number, s.Build = newName(), build
		if _, err := newIndex(s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// change makes a collection what c says: it adds the new indexes, fills them,
// and then puts the definition in force in one commit.
func (d *Documents) change(ctx context.Context, sc scope, c store.Collection, events []platform.Event) (store.Collection, error) {
	build := newName()
	begun, err := d.beginBuild(ctx, sc, c, build)
	if err == nil && begun {
		err = d.fill(ctx, sc, c.Name, build)
	}
	var out store.Collection
	if err == nil {
		out, err = d.putInForce(ctx, sc, c, build, events)
	}
	if err != nil && begun {
		d.abandon(context.WithoutCancel(ctx), sc, c.Name, build)
	}
	return out, err
}

// beginBuild adds the new indexes, so that every change from now on keeps them,
// and reports whether there are any.
func (d *Documents) beginBuild(ctx context.Context, sc scope, c store.Collection, build string) (begun bool, err error) {
	err = d.alone(ctx, sc, c.Name, func(_ context.Context, b *batch) error {
		if b.base.Version != c.Version {
			return errStaleCollection
		}
		wanted, err := keepIndexes(b.base.Indexes, c.Indexes, build)
		if err != nil {
			return err
		}
		b.next.Indexes = slices.Clone(b.base.Indexes)
		begun = false
		for _, s := range wanted {
			if s.Build == build {
				begun, b.next.Building = true, true
				b.next.Indexes = append(b.next.Indexes, s)
			}
		}
		if !begun {
			return errNothing
		}
		b.next.Indexed = b.base.Seq + 1
		return nil
	})
	return begun, err
}

// putInForce makes the definition what c says.
func (d *Documents) putInForce(ctx context.Context, sc scope, c store.Collection, build string, events []platform.Event) (store.Collection, error) {
	var out store.Collection
	var dropped []string
	err := d.alone(ctx, sc, c.Name, func(ctx context.Context, b *batch) error {
		if b.base.Version != c.Version {
			return errStaleCollection
		}
		indexes, err := keepIndexes(b.base.Indexes, c.Indexes, build)
		if err != nil {
			return err
		}
		kept := make(map[string]bool)
		for i, s := range indexes {
			if s.Broken {
				return brokenError(s)
			}
			if s.Build != "" && !slices.ContainsFunc(b.base.Indexes, func(o storedIndex) bool { return o.Number == s.Number }) {
				return errBusy // somebody took the build for dead
			}
			indexes[i].Build, indexes[i].Filled = "", 0
			kept[s.Number] = true
		}
		for _, s := range b.base.Indexes {
			switch {
			case kept[s.Number]:
			case s.Build != "": // another call's
				indexes = append(indexes, s)
			default:
				b.redo.Dropped = append(b.redo.Dropped, s.Number)
			}
		}
		b.next.Indexes, b.next.Indexed = indexes, b.base.Seq+1
		b.next.Building = building(indexes)
		b.next.Version, b.next.Updated = b.base.Version+1, b.now
		b.redo.OldSchema = b.base.Schema
		b.redo.setSchema(b.next, c.Schema)
		if err := b.redo.emit(ctx, d, sc, events); err != nil {
			return err
		}
		dropped = b.redo.Dropped
		out, err = b.next.public(c.Name, string(c.Schema))
		return err
	})
	if err != nil {
		return store.Collection{}, err
	}
	d.clearDropped(ctx, sc, dropped)
	return out, nil
}

// brokenError says that documents are in the way of a unique index.
func brokenError(s storedIndex) error {
	x, err := newIndex(s)
	if err != nil {
		return err
	}
	return docchange.UniqueError(x.Keys, x.Index.Fields)
}

func building(indexes []storedIndex) bool {
	return slices.ContainsFunc(indexes, func(s storedIndex) bool { return s.Build != "" })
}

// abandon removes the indexes of a build, as far as they are still there.
func (d *Documents) abandon(ctx context.Context, sc scope, name, build string) {
	var dropped []string
	err := d.alone(ctx, sc, name, func(_ context.Context, b *batch) error {
		b.next.Indexes = slices.DeleteFunc(slices.Clone(b.base.Indexes), func(s storedIndex) bool {
			if s.Build == build {
				b.redo.Dropped = append(b.redo.Dropped, s.Number)
			}
			return s.Build == build
		})
		if len(b.redo.Dropped) == 0 {
			return errNothing
		}
		b.next.Indexed, b.next.Building = b.base.Seq+1, building(b.next.Indexes)
		dropped = b.redo.Dropped
		return nil
	})
	if err != nil && !errors.Is(err, errNoCollection) {
		d.log.WarnContext(ctx, "an index that was not built is left for the sweeper", slog.Any("error", err))
		return
	}
	d.clearDropped(ctx, sc, dropped)
}

// DropCollection implements [store.Documents].
func (d *Documents) DropCollection(ctx context.Context, tenant platform.TenantID, name string, version int64, events ...platform.Event) error {
	if err := d.enter(tenant); err != nil {
		return err
	}
	sc := scope{tenant}
	if err := checkEvents(sc, events); err != nil {
		return err
	}
	var dropped []string
	err := d.alone(ctx, sc, name, func(ctx context.Context, b *batch) error {
		if version != 0 && version != b.base.Version {
			return errStaleCollection
		}
		b.redo.Gone, b.redo.Dropped = true, []string{b.base.Number}
		for _, s := range b.base.Indexes {
			b.redo.Dropped = append(b.redo.Dropped, s.Number)
		}
		dropped = b.redo.Dropped
		return b.redo.emit(ctx, d, sc, events)
	})
	if err == nil {
		d.clearDropped(ctx, sc, dropped)
	}
	return err
}

// errNothing is what a plan returns for which there is nothing to commit.
var errNothing = errors.New("mongo: nothing to do")

// alone commits what plan makes of a collection. Plan may be called several
// times; an error without a commit is passed on, but for errNothing.
func (d *Documents) alone(ctx context.Context, sc scope, name string, plan func(context.Context, *batch) error) error {
	err := d.do(sc, name, &job{ctx: ctx, alone: plan})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}
