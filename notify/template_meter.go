package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// One rendering of a template has one budget, for its three parts together.
// Every node that runs is a step. Bytes are those that functions read and
// make, those that are inserted and those that are written. Both count work,
// not time, so that a rendering ends at the same place on every machine.
const (
	maxSteps = 100_000
	maxBytes = 1 << 20
	// renderTime ends a rendering on a machine that is too busy to do its
	// steps.
	renderTime = 2 * time.Second

	// lookSteps is how many steps pass between two looks at the context.
	lookSteps = 500
	// byteSteps is how many bytes take about as long as a step.
	byteSteps = 32
	// elementBytes is what the parts of a list or an object cost beside their
	// contents: they are printed one by one.
	elementBytes = 64
)

// errBudget is behind every error of a rendering that would take more than it
// may.
var errBudget = errors.New("the budget of the template is used up")

var (
	errSteps   = fmt.Errorf("the text takes more than %d steps%w", maxSteps, silent{errBudget})
	errBytes   = fmt.Errorf("the text works on more than %d bytes%w", maxBytes, silent{errBudget})
	errLate    = fmt.Errorf("the text takes longer than %s%w", renderTime, silent{errBudget})
	errTooLong = fmt.Errorf("the result is too long%w", silent{errBudget})
	errTooBig  = fmt.Errorf("a value is larger than %d bytes%w", maxValue, silent{errBudget})
)

// silent is an error to be recognized by, which says nothing itself.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// meter is what is left of the budget of one rendering. It asks the real clock:
// what is late is late for those who wait.
type meter struct {
	ctx          context.Context //nolint:containedctx // of one rendering, which no call outlives
	steps, bytes int
	look         int // steps until the next look at ctx and the clock
	until        time.Time
}

func newMeter(ctx context.Context) meter {
	return meter{ctx: ctx, steps: maxSteps, bytes: maxBytes, until: time.Now().Add(renderTime)}
}

// cost is what has been used, in steps.
func (m *meter) cost() int { return maxSteps - m.steps + (maxBytes-m.bytes)/byteSteps }

// step takes n steps.
func (m *meter) step(n int) error {
	if m.steps -= n; m.steps < 0 {
		return errSteps
	}
	return m.work(n)
}

// made takes n bytes.
func (m *meter) made(n int) error {
	if m.bytes -= n; m.bytes < 0 {
		return errBytes
	}
	return m.work(n / byteSteps)
}

func (m *meter) work(n int) error {
	if m.look -= n; m.look > 0 {
		return nil
	}
	m.look = lookSteps
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(m.until) {
		return errLate
	}
	return nil
}

// value takes the bytes of a value that will be printed.
func (m *meter) value(v any) error { return m.made(size(v, m.bytes)) }

// size is about how long v is in print. It ends as soon as that is more than
// limit.
func size(v any, limit int) int {
	n := elementBytes
	switch v := v.(type) {
	case string:
		return len(v)
	case []any:
		for _, e := range v {
			if n > limit {
				break
			}
			n += elementBytes + size(e, limit-n)
		}
	case map[string]any:
		for k, e := range v {
			if n > limit {
				break
			}
			n += elementBytes + len(k) + size(e, limit-n)
		}
	}
	return n
}

// inside returns what a reflected value holds; nil where that is nothing.
func inside(v reflect.Value) any {
	if !v.IsValid() || !v.CanInterface() {
		return nil
	}
	return v.Interface()
}

// meteredWriter takes what a rendering writes, up to max bytes.
type meteredWriter struct {
	meter *meter
	buf   bytes.Buffer
	max   int
}

func (w *meteredWriter) Write(p []byte) (int, error) {
	if err := w.admit(len(p)); err != nil {
		return 0, err
	}
	return w.buf.Write(p)
}

func (w *meteredWriter) writeString(s string) error {
	if err := w.admit(len(s)); err != nil {
		return err
	}
	_, err := w.buf.WriteString(s)
	return err
}

func (w *meteredWriter) admit(n int) error {
	if w.buf.Len()+n > w.max {
		return errTooLong
	}
	return w.meter.made(n)
}
