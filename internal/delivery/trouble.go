package delivery

import (
	"context"
	"log/slog"
	"sync"
)

// Trouble logs that something fails when it begins to and when it ends, and not
// at every try between. It is safe for concurrent use.
type Trouble struct {
	// Log takes the lines.
	Log *slog.Logger
	// What is the constant text of what fails, and Group whose.
	What, Group string

	mu sync.Mutex
	on bool
}

// Begin logs err as a warning where the last try did not fail. What fails because
// ctx is done is no trouble.
func (t *Trouble) Begin(ctx context.Context, err error) {
	if ctx.Err() == nil && t.turn(true) {
		t.Log.WarnContext(ctx, t.What, //nolint:sloglint // one of a few constants
			slog.String("group", t.Group), slog.Any("error", err))
	}
}

// End logs where the last try failed.
func (t *Trouble) End(ctx context.Context) {
	if t.turn(false) {
		t.Log.InfoContext(ctx, t.What+" no more", //nolint:sloglint // one of a few constants
			slog.String("group", t.Group))
	}
}

// turn reports whether it was the other way.
func (t *Trouble) turn(on bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	turned := t.on != on
	t.on = on
	return turned
}
