package docquery

import (
	"context"
	"fmt"
)

// maxChunk is how many entries are read at once at most.
const maxChunk = 1024

// visit is shown entries in order, in pieces, and says whether it wants more.
type visit func(context.Context, []Entry) (more bool, err error)

// unordered shows all entries in the ranges of p.
func (f *Finder) unordered(ctx context.Context, p *plan, see visit) error {
	for _, r := range p.ranges {
		if more, err := f.stream(ctx, p, spanOf(r, false), maxChunk, see); err != nil || !more {
			return err
		}
	}
	return nil
}

// stream shows the entries of a span, which is forward, as they stand.
func (f *Finder) stream(ctx context.Context, p *plan, s Span, chunk int, see visit) (bool, error) {
	for {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("documents: %w", err)
		}
		got, err := f.Source.Entries(ctx, p.place, s, chunk)
		if err != nil || len(got) == 0 {
			return true, err
		}
		n := len(got)
		s.After = got[n-1].Place // see may change the list
		if more, err := see(ctx, got); err != nil || !more {
			return false, err
		}
		if n < chunk {
			return true, nil
		}
		chunk = min(2*chunk, maxChunk)
	}
}
