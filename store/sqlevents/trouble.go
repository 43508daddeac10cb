package sqlevents

import (
	"context"
	"log/slog"
)

// trouble logs that something fails when it begins to and when it ends, and not
// at every try between.
type trouble struct {
	log         *slog.Logger
	what, group string
	on          bool
}

func (t *trouble) begin(ctx context.Context, err error) {
	if t.on || ctx.Err() != nil {
		return
	}
	t.on = true
	t.log.WarnContext(ctx, t.what, //nolint:sloglint // one of a few constants
		slog.String("group", t.group), slog.Any("error", err))
}

func (t *trouble) end(ctx context.Context) {
	if !t.on {
		return
	}
	t.on = false
	t.log.InfoContext(ctx, t.what+" no more", //nolint:sloglint // one of a few constants
		slog.String("group", t.group))
}
