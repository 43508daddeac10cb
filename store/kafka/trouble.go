package kafka

import (
	"context"
	"log/slog"
	"sync"
)

// trouble logs that something fails when it begins to and when it ends, and not
// at every try between. It is safe for concurrent use.
type trouble struct {
	log         *slog.Logger
	what, group string

	mu sync.Mutex
	on bool
}

func (t *trouble) begin(ctx context.Context, err error) {
	if ctx.Err() == nil && t.turn(true) {
		t.log.WarnContext(ctx, t.what, //nolint:sloglint // one of a few constants
			slog.String("group", t.group), slog.Any("error", err))
	}
}

func (t *trouble) end(ctx context.Context) {
	if t.turn(false) {
		t.log.InfoContext(ctx, t.what+" no more", //nolint:sloglint // one of a few constants
			slog.String("group", t.group))
	}
}

// turn reports whether it was the other way.
func (t *trouble) turn(on bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	turned := t.on != on
	t.on = on
	return turned
}
