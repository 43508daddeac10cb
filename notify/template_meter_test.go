package notify

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A rendering that is late ends, whatever is left of its steps, and so does one
// that nobody waits for any more.
func TestMeterLooksAtTheClock(t *testing.T) {
	m := newMeter(context.Background())
	for range 3 {
		if err := m.step(lookSteps); err != nil {
			t.Fatal(err)
		}
	}
	m.until = time.Now().Add(-time.Second)
	if err := m.step(lookSteps); !errors.Is(err, errLate) || !errors.Is(err, errBudget) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m = newMeter(ctx)
	cancel()
	if err := m.made(1); !errors.Is(err, context.Canceled) || errors.Is(err, errBudget) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkRender(b *testing.B) {
	c, err := compile("A record was created in {{.data.collection}}", "Record {{.data.id}} was created in the collection {{.data.collection}}.", "")
	if err != nil {
		b.Fatal(err)
	}
	data := map[string]any{"data": map[string]any{"id": "rec_1", "collection": "movies"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.render(context.Background(), data, "/text"); err != nil {
			b.Fatal(err)
		}
	}
}
