package data

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// flushWithin writes a batch for a grant with limits. Changes of one record are
// made one after the other, since each is judged by what the record is before
// it.
func (im *importer) flushWithin(ctx context.Context, changes []store.Change, lines []int64) error {
	for len(changes) > 0 {
		n := distinctIDs(changes)
		kept := 0
		for i := range changes[:n] {
			err := im.judge(ctx, &changes[i])
			if err == nil {
				changes[kept], lines[kept] = changes[i], lines[i]
				kept++
			} else if err := im.refuse(lines[i], im.grant.hide(err, "")); err != nil {
				return err
			}
		}
		if err := im.put(ctx, changes[:kept:kept], lines[:kept:kept]); err != nil {
			return err
		}
		changes, lines = changes[n:], lines[n:]
	}
	return nil
}

// distinctIDs is how many changes there are before an id comes again.
func distinctIDs(changes []store.Change) int {
	seen := make(map[string]bool, len(changes))
	for i := range changes {
		if seen[changes[i].ID] {
			return i
		}
		seen[changes[i].ID] = true
	}
	return len(changes)
}

// judge refuses a change that the grant is not for. It makes of an upsert what
// it is: an insert, or the replacement of the version that was judged.
func (im *importer) judge(ctx context.Context, c *store.Change) error {
	now := im.service.now()
	next := Record{ID: c.ID, Version: 1, CreatedAt: now, UpdatedAt: now}
	var old Record
	if c.Op == store.OpUpsert {
		var err error
		switch old, err = im.service.record(ctx, im.principal.Tenant, im.collection, c.ID); {
		case errors.Is(err, platform.ErrNotFound):
			c.Op = store.OpInsert
		case err != nil:
			return err
		case !im.grant.admits(&old):
			return platform.Errorf(platform.KindForbidden, "record_not_allowed", "the principal may not write the record with this id")
		default:
			c.Op, c.IfVersion = store.OpReplace, old.Version
			next.CreatedAt, next.Version = old.CreatedAt, old.Version+1
		}
	}
	data, err := im.grant.keep(old.Data, c.Data, im.grant.Readable)
	if err != nil {
		return err
	}
	if len(data) > im.service.maxRecord {
		return im.service.tooLarge()
	}
	c.Data, next.Data = data, data
	if err := im.grant.mayHold(&next); err != nil {
		return err
	}
	return im.schema.validate(data, "")
}
