package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/delivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCall(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	call := func(h func(context.Context, []platform.Event) error) error {
		return delivery.Call(t.Context(), log, "g", h, make([]platform.Event, 2))
	}
	failure := errors.New("not now")
	if err := call(func(context.Context, []platform.Event) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("an error: got %v", err)
	}
	if out.Len() != 0 {
		t.Errorf("logged %s", out.String())
	}
	err := call(func(_ context.Context, batch []platform.Event) error { panic(len(batch)) })
	if err == nil || !strings.Contains(err.Error(), "panic: 2") || !strings.Contains(out.String(), "delivery_test.go") {
		t.Errorf("a panic: got %v, logged %s", err, out.String())
	}
}

// A failing event is alone after a few batches, and is spoken of once; a good
// batch makes the next one larger.
func TestSize(t *testing.T) {
	s := delivery.NewSize(500)
	var sizes []int
	stuck := 0
	for range 20 {
		sizes = append(sizes, s.Now())
		if s.Failed(s.Now()) {
			stuck++
		}
	}
	if sizes[0] != 500 || sizes[1] != 62 || sizes[2] != 7 || sizes[3] != 1 || sizes[19] != 1 || stuck != 1 || s.Failures() != 20 {
		t.Errorf("sizes %v, stuck %d, failures %d", sizes, stuck, s.Failures())
	}
	s.Done()
	if s.Now() != 8 || s.Failures() != 0 {
		t.Errorf("after a good one: %d, %d", s.Now(), s.Failures())
	}
	for range 10 {
		s.Done()
	}
	if s.Now() != 500 {
		t.Errorf("after many: %d", s.Now())
	}
	// A batch may be smaller than it might be.
	if s.Failed(16); s.Now() != 2 {
		t.Errorf("after a failure of 16: %d", s.Now())
	}
}

func TestTrouble(t *testing.T) {
	var out bytes.Buffer
	trouble := delivery.Trouble{Log: slog.New(slog.NewTextHandler(&out, nil)), What: "the store fails", Group: "g"}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	trouble.Begin(ended, errors.New("stopped"))
	trouble.End(t.Context())
	for range 3 {
		trouble.Begin(t.Context(), errors.New("no"))
	}
	for range 3 {
		trouble.End(t.Context())
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2 || !strings.Contains(out.String(), `msg="the store fails no more"`) {
		t.Errorf("logged %s", out.String())
	}
}
