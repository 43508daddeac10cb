package background_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/background"
)

func TestStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g background.Group
		ended := false
		g.Go(func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
		})
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := g.Stop(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Stop without time: got %v", err)
		}
		if err := g.Stop(t.Context()); err != nil || !ended {
			t.Errorf("Stop: %v, ended %v", err, ended)
		}
		g.Go(func(context.Context) { t.Error("ran after Stop") })
	})
}

func TestStopUnused(t *testing.T) {
	var g background.Group
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
