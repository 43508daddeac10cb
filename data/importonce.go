package data

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// An import with an idempotency key has one key for each batch, which commits
// with the batch: a second import of the same input finds the batches that the
// first one wrote, counts what they counted, and goes on after them. Where the
// store refuses a record, the batch is written in parts, each with a key of its
// own, and ends with a row that has the outcome of the whole.

// importOnce is an import with a key; nil is one without.
type importOnce struct {
	key      *platform.IdempotencyKey
	batch    int  // the number of the next batch
	repeated bool // all batches so far were written by an earlier import
}

func newImportOnce(key *platform.IdempotencyKey) *importOnce {
	if key == nil {
		return nil
	}
	return &importOnce{key: key, repeated: true}
}

// outcome is what a batch, or a part of one, adds to the result.
type outcome struct {
	Imported, Updated, Failed int64
	Errors                    []ImportError
	Through                   int64 // of a part: its last line
}

// maxKeptErrors bounds the refused lines that are kept with a batch; a second
// import counts the others, and does not name them.
const maxKeptErrors = 200

func (im *importer) apply(o outcome) {
	im.result.Imported += o.Imported
	im.result.Updated += o.Updated
	im.result.Failed += o.Failed
	im.result.Errors = append(im.result.Errors, o.Errors[:min(len(o.Errors), maxImportErrors-len(im.result.Errors))]...)
}

// since is what the result has more than an earlier one.
func (im *importer) since(before ImportResult) outcome {
	refused := im.result.Errors[len(before.Errors):]
	return outcome{
		Imported: im.result.Imported - before.Imported, Updated: im.result.Updated - before.Updated,
		Failed: im.result.Failed - before.Failed, Errors: slices.Clone(refused[:min(len(refused), maxKeptErrors)]),
	}
}

// call is the call of a batch, or with part from 0 of a part of it.
func (im *importer) call(ctx context.Context, part int, request [][]byte) (*idempotency.Call, *platform.IdempotencyKey, error) {
	key, err := platform.NewIdempotencyKey(im.once.key.Text())
	if err != nil { // it is the text of a key
		return nil, nil, err
	}
	operation := fmt.Sprintf("data.records.import %d", im.once.batch)
	if part >= 0 {
		operation = fmt.Sprintf("%s.%d", operation, part)
	}
	c, err := im.service.repeats.Call(ctx, key, im.principal, operation, []any{im.collection, im.key, request})
	return c, key, err
}

// errInParts is why a batch is not written at once: an earlier import has begun
// to write it in parts.
var errInParts = errors.New("data: the batch is written in parts")

// putOnce is put for an import with a key, over a store that keeps it.
func (im *importer) putOnce(ctx context.Context, changes []store.Change, lines []int64) error {
	if len(changes) == 0 {
		return nil
	}
	defer func() { im.once.batch++ }()
	request := make([][]byte, len(changes))
	for i := range changes {
		request[i] = changes[i].Data
	}
	call, key, err := im.call(ctx, -1, request)
	if err != nil {
		return err
	}
	first, _, err := im.call(ctx, 0, request)
	if err != nil {
		return err
	}
	kept, err := call.Kept(ctx, im.principal.Tenant)
	if err != nil {
		return err
	}
	before := im.result
	settle := func() {}
	if !kept {
		var n int
		if n, settle, err = im.admit(ctx, changes, lines); err != nil {
			return err
		}
		changes, lines = changes[:n], lines[:n]
	}
	defer settle()
	refused := im.since(before)
	var (
		out  outcome
		docs []store.Document
	)
	err = im.inTenant(ctx, func(ctx context.Context, tx store.Tx) error {
		docs = nil
		return call.Do(ctx, tx, &out, func() error {
			if kept {
				return errKeyForgotten()
			}
			if begun, err := first.Begin(ctx, tx, &outcome{}); err != nil || begun {
				return errors.Join(err, errInParts)
			}
			if docs, err = im.service.relational.ApplyIn(ctx, tx, im.collection, changes, im.events); err != nil {
				return err
			}
			out = counted(docs)
			out.Failed, out.Errors = refused.Failed, refused.Errors
			return nil
		})
	})
	var change *store.ChangeError
	switch {
	case err == nil && key.Replayed():
		im.result = before
		im.apply(out)
		return nil
	case err == nil:
		im.once.repeated = false
		im.wrote(docs)
		return nil
	case !errors.Is(err, errInParts) && !errors.As(err, &change):
		return err
	}
	im.once.repeated = false
	if err := im.inParts(ctx, changes, lines, request); err != nil {
		return err
	}
	return im.inTenant(ctx, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &out, func() error { out = im.since(before); return nil })
	})
}

// inParts writes a batch of which the store refuses something; see put.
func (im *importer) inParts(ctx context.Context, changes []store.Change, lines []int64, request [][]byte) error {
	before := im.result // as of the last part
	for part, size := 0, len(changes); len(changes) > 0; {
		call, key, err := im.call(ctx, part, request)
		if err != nil {
			return err
		}
		n := min(size, len(changes))
		var (
			out  outcome
			docs []store.Document
		)
		err = im.inTenant(ctx, func(ctx context.Context, tx store.Tx) error {
			return call.Do(ctx, tx, &out, func() error {
				var err error
				if docs, err = im.service.relational.ApplyIn(ctx, tx, im.collection, changes[:n], im.events); err != nil {
					return err
				}
				refused := im.since(before)
				out = counted(docs)
				out.Failed, out.Errors, out.Through = refused.Failed, refused.Errors, lines[n-1]
				return nil
			})
		})
		var refused *store.ChangeError
		switch {
		case err == nil && key.Replayed():
			im.result = before
			im.apply(out)
			n = 0
			for n < len(lines) && lines[n] <= out.Through {
				n++
			}
			changes, lines, part, before = changes[n:], lines[n:], part+1, im.result
			size = len(changes)
		case err == nil:
			im.wrote(docs)
			changes, lines, part, before = changes[n:], lines[n:], part+1, im.result
			size = 2 * n
		case errors.As(err, &refused):
			i := refused.Index
			if err := im.refuse(lines[i], im.grant.hide(refused.Err, "/data")); err != nil {
				return err
			}
			changes, lines = slices.Delete(changes, i, i+1), slices.Delete(lines, i, i+1)
			size = max(i, 1)
		default:
			return err
		}
	}
	return nil
}

// inTenant runs fn in a transaction, again where it lost against another one.
func (im *importer) inTenant(ctx context.Context, fn func(context.Context, store.Tx) error) error {
	var err error
	for range writes {
		err = im.service.relational.Relational().InTenant(ctx, im.principal.Tenant, fn)
		if err == nil || !lost(err) || errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "idempotency_running"}) {
			return err
		}
	}
	return err
}

// counted is the outcome of changes that were made.
func counted(docs []store.Document) (o outcome) {
	for i := range docs {
		if docs[i].Version == 1 {
			o.Imported++
		} else {
			o.Updated++
		}
	}
	return o
}

// numberOnce gives the changes of a batch ids that follow from the key, in their
// order, for a store that keeps no row of it.
func (im *importer) numberOnce(changes []store.Change) {
	id := idempotency.DerivedID("rec", im.once.key, im.principal, "data.records.import "+im.collection)
	for i := range changes {
		changes[i].ID = fmt.Sprintf("%s%06x%04x", id, im.once.batch, i)
	}
	im.once.batch++
}

// created reports whether a refused change with an id that follows from the key
// was made by an earlier import.
func (im *importer) created(err *platform.Error) bool {
	return im.once != nil && im.key == "" && im.service.repeats == nil && err.CodeOrKind() == "exists"
}
