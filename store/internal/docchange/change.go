// Package docchange says what a change makes of a document, for every driver of
// store.Documents. It reads and writes nothing.
package docchange

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// ErrNoDocument is the error of a change of, or a look at, what is not there.
var ErrNoDocument = platform.NotFound("record")

// Normalize returns the changes with their data as it is stored. A refusal is a
// [*store.ChangeError].
func Normalize(changes []store.Change) ([]store.Change, error) {
	changes = slices.Clone(changes)
	for i := range changes {
		ch := &changes[i]
		var err error
		switch ch.Op {
		case store.OpInsert, store.OpReplace, store.OpUpsert, store.OpPatch:
			ch.Data, err = document.Normalize("/data", ch.Data)
		case store.OpDelete:
		default:
			return nil, fmt.Errorf("documents: change %d has no known operation", i)
		}
		if err != nil {
			return nil, Error(i, err)
		}
	}
	return changes, nil
}

// Error names the change that was refused; an error that is not about the change
// stays as it is.
func Error(i int, err error) error {
	var refused *platform.Error
	if errors.As(err, &refused) {
		switch refused.Kind {
		case platform.KindConflict, platform.KindStale, platform.KindNotFound, platform.KindInvalid, platform.KindTooLarge:
			return &store.ChangeError{Index: i, Err: refused}
		default: // the store's own trouble
		}
	}
	return err
}

// Distinct returns the end of the longest run from start, of at most so many
// changes, in which no id comes twice, so that its documents can be read before
// any is written.
func Distinct(changes []store.Change, start, most int) int {
	if start+1 == len(changes) {
		return start + 1
	}
	seen := make(map[string]bool, min(len(changes)-start, most))
	i := start
	for ; i < len(changes) && len(seen) < most && !seen[changes[i].ID]; i++ {
		seen[changes[i].ID] = true
	}
	return i
}

// Next returns what a normalized change makes of a document at a time, nil where
// it is gone. Was is nil where there is none.
func Next(ch *store.Change, was *document.Record, now time.Time) (*document.Record, error) {
	switch {
	case ch.Op == store.OpInsert && was != nil:
		return nil, platform.Errorf(platform.KindConflict, "exists", "there is a record with that id")
	case was == nil && ch.Op != store.OpInsert && (ch.Op != store.OpUpsert || ch.IfVersion != 0):
		return nil, ErrNoDocument
	case was != nil && ch.IfVersion != 0 && ch.IfVersion != was.Version:
		return nil, platform.Errorf(platform.KindStale, "stale", "the record has changed")
	case ch.Op == store.OpDelete:
		return nil, nil
	}
	next := &document.Record{ID: ch.ID, Version: 1, CreatedAt: now, UpdatedAt: now, Data: ch.Data}
	if was == nil {
		return next, nil
	}
	next.Version, next.CreatedAt = was.Version+1, was.CreatedAt
	if ch.Op == store.OpPatch {
		next.Data = document.MergePatch(was.Data, ch.Data)
		if document.TooDeep(next.Data) {
			return nil, platform.Invalid(platform.Field{Path: "/data", Code: "too_deep", Detail: "the result nests too deep"})
		}
	}
	return next, nil
}
