package data

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// admit takes what a batch adds from the tenant's quota, and refuses the changes
// for which there is no room, those at the end. It returns how many may be
// written; settle gives back what they did not come to.
func (im *importer) admit(ctx context.Context, changes []store.Change, lines []int64) (n int, settle func(), err error) {
	quotas, tenant := im.service.quotas, im.principal.Tenant
	var grown []store.Size // by change, once it is asked for
	exact := func() (store.Size, error) {
		grown, err = im.growth(ctx, changes)
		return sum(grown), err
	}
	all := store.Size{Documents: int64(len(changes))}
	for i := range changes {
		all.Bytes += int64(len(changes[i].Data))
	}
	n = len(changes)
	taken, err := quotas.take(ctx, tenant, all, exact)
	if isOverLimit(err) {
		room, rerr := quotas.room(ctx, tenant)
		if rerr != nil {
			return 0, nil, rerr
		}
		n = fitting(grown, room)
		im.refuseRest(lines[n:], err)
		if taken, err = quotas.take(ctx, tenant, sum(grown[:n]), nil); isOverLimit(err) { // others were faster
			im.refuseRest(lines[:n], err)
			n, err = 0, nil
		}
	}
	if err != nil {
		return 0, nil, err
	}
	im.written = store.Size{}
	return n, func() {
		// Of a batch with changes that replace the bytes are more than it adds;
		// the next count tells.
		quotas.changed(tenant, store.Size{
			Documents: min(im.written.Documents-taken.Documents, 0), Bytes: min(im.written.Bytes-taken.Bytes, 0),
		})
	}, nil
}

// codeOverLimit is the code of what the tenant's plan has no room for.
const codeOverLimit = "limit_exceeded"

func isOverLimit(err error) bool {
	return errors.Is(err, &platform.Error{Kind: platform.KindForbidden, Code: codeOverLimit})
}

// growth returns what each change adds to what is kept.
func (im *importer) growth(ctx context.Context, changes []store.Change) ([]store.Size, error) {
	out := make([]store.Size, len(changes))
	for i := range changes {
		out[i] = store.Size{Documents: 1, Bytes: int64(len(changes[i].Data))}
		if im.key == "" {
			continue
		}
		old, err := im.service.record(ctx, im.principal.Tenant, im.collection, changes[i].ID)
		switch {
		case err == nil:
			out[i] = store.Size{Bytes: int64(len(changes[i].Data) - len(old.Data))}
		case !errors.Is(err, platform.ErrNotFound):
			return nil, err
		}
	}
	return out, nil
}

func sum(sizes []store.Size) (all store.Size) {
	for _, s := range sizes {
		all.Documents += s.Documents
		all.Bytes += s.Bytes
	}
	return all
}

// fitting returns how many changes there is room for, one after the other.
func fitting(grown []store.Size, room store.Size) int {
	var all store.Size
	for i, s := range grown {
		all.Documents += s.Documents
		all.Bytes += s.Bytes
		if room.Documents >= 0 && s.Documents > 0 && all.Documents > room.Documents ||
			room.Bytes >= 0 && s.Bytes > 0 && all.Bytes > room.Bytes {
			return i
		}
	}
	return len(grown)
}

// refuseRest counts lines without room. The first one of an import is named: the
// others have the same reason.
func (im *importer) refuseRest(lines []int64, reason error) {
	for _, line := range lines {
		if im.over {
			im.result.Failed++
			continue
		}
		im.over = true
		_ = im.refuse(line, reason) // it is about the line
	}
}
