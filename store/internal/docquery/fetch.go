package docquery

import (
	"context"
	"errors"

	"github.com/acme/platform/store/document"
)

// FetchBytes is how much data of records is held at once beside the page.
const FetchBytes = 2 << 20

// ErrTooMuch is what [Source.Fetch] returns for entries whose records it does not
// hold at once.
var ErrTooMuch = errors.New("documents: the records are too large to be fetched at once")

// fetcher is the part of a [Source] that reads records.
type fetcher interface {
	Fetch(ctx context.Context, entries []Entry, maxBytes int) ([]*document.Record, error)
}

// FetchEach shows the records of entries that are there, in order, until see
// wants no more, which it reports. Up to lot of them are fetched at once, and
// fewer where they are large.
func FetchEach(
	ctx context.Context, from fetcher, entries []Entry, lot int, see func(Entry, *document.Record) (bool, error),
) (more bool, err error) {
	for n := lot; len(entries) > 0; {
		part := entries[:min(n, len(entries))]
		records, err := from.Fetch(ctx, part, FetchBytes)
		if errors.Is(err, ErrTooMuch) && len(part) > 1 {
			n = len(part) / 2
			continue
		}
		if err != nil {
			return false, err
		}
		for i, r := range records {
			if r == nil {
				continue
			}
			if more, err := see(part[i], r); err != nil || !more {
				return false, err
			}
			records[i] = nil // see has what it wants of it
		}
		entries = entries[len(part):]
	}
	return true, nil
}
