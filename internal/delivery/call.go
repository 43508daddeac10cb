package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/acme/platform"
)

// Call calls a handler of a group with a batch. A panic in it is a failure like
// any other, since it must not end the process of all tenants.
func Call(ctx context.Context, log *slog.Logger, group string,
	handle func(context.Context, []platform.Event) error, batch []platform.Event,
) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "the handler of events panicked", slog.String("group", group),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("events: panic: %v", p)
		}
	}()
	return handle(ctx, batch)
}
