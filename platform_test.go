package platform_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// part is a module that writes down what happens to it.
type part struct {
	name      string
	log       *[]string
	startErr  error
	stopErr   error
	checkErr  error
	onStart   func()
	checkHang bool
}

func (p part) Name() string { return p.name }

func (p part) Start(context.Context) error {
	*p.log = append(*p.log, "start "+p.name)
	if p.onStart != nil {
		p.onStart()
	}
	return p.startErr
}

func (p part) Stop(ctx context.Context) error {
	*p.log = append(*p.log, "stop "+p.name)
	return errors.Join(p.stopErr, ctx.Err())
}

func (p part) Check(ctx context.Context) error {
	if p.checkHang {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.checkErr
}

type bare string

func (b bare) Name() string { return string(b) }

func TestLifecycleOrder(t *testing.T) {
	var log []string
	p, err := platform.New(platform.Config{}, part{name: "a", log: &log}, bare("quiet"), part{name: "b", log: &log})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("a second Start must fail")
	}
	for range 2 {
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"start a", "start b", "stop b", "stop a"}; !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
	if err := p.Start(t.Context()); !errors.Is(err, platform.ErrStopped) {
		t.Errorf("Start after Stop: got %v", err)
	}
}

func TestStartFails(t *testing.T) {
	var log []string
	boom := errors.New("boom")
	p, _ := platform.New(platform.Config{}, part{name: "a", log: &log}, part{name: "b", log: &log, startErr: boom}, part{name: "c", log: &log})
	err := p.Start(t.Context())
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "start b") {
		t.Errorf("got %v", err)
	}
	if want := []string{"start a", "start b", "stop b", "stop a"}; !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
}

func TestStartCancelled(t *testing.T) {
	var log []string
	ctx, cancel := context.WithCancel(t.Context())
	p, _ := platform.New(platform.Config{}, part{name: "a", log: &log, onStart: cancel}, part{name: "b", log: &log})
	if err := p.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// The module that had started is stopped with a context that still lives.
	if want := []string{"start a", "stop a"}; !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
}

func TestStopErrors(t *testing.T) {
	var log []string
	e1, e2 := errors.New("one"), errors.New("two")
	p, _ := platform.New(platform.Config{}, part{name: "a", log: &log, stopErr: e1}, part{name: "b", log: &log, stopErr: e2})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); !errors.Is(err, e1) || !errors.Is(err, e2) {
		t.Errorf("got %v", err)
	}
	if len(log) != 4 {
		t.Errorf("an error must not keep the others from stopping: %v", log)
	}
}

func TestStartStopRace(t *testing.T) {
	for range 200 {
		var log []string
		p, _ := platform.New(platform.Config{}, part{name: "a", log: &log}, part{name: "b", log: &log})
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.Start(t.Context()) })
		wg.Go(func() { _ = p.Stop(t.Context()) })
		wg.Wait()
		_ = p.Stop(t.Context())
		if starts, stops := count(log, "start"), count(log, "stop"); starts != stops {
			t.Fatalf("started %d, stopped %d: %v", starts, stops, log)
		}
	}
}

func count(log []string, what string) (n int) {
	for _, l := range log {
		if strings.HasPrefix(l, what) {
			n++
		}
	}
	return n
}

func TestNewRefuses(t *testing.T) {
	for name, modules := range map[string][]platform.Module{
		"nil":    {nil},
		"unused": {bare("")},
		"twice":  {bare("a"), bare("a")},
	} {
		if _, err := platform.New(platform.Config{}, modules...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		sick := errors.New("sick")
		p, _ := platform.New(platform.Config{CheckTimeout: time.Second},
			part{name: "good", log: &log}, part{name: "sick", log: &log, checkErr: sick}, part{name: "hangs", log: &log, checkHang: true})
		if h := p.Health(t.Context()); h.Ready || !errors.Is(h.Modules["platform"], platform.ErrNotStarted) {
			t.Errorf("before the start: %+v", h)
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		h := p.Health(t.Context())
		if h.Ready || h.Modules["good"] != nil || !errors.Is(h.Modules["sick"], sick) || !errors.Is(h.Modules["hangs"], context.DeadlineExceeded) {
			t.Errorf("got %+v", h)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("a hanging check took %v", d)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.Health(t.Context()).Ready {
			t.Error("ready after Stop")
		}
	})
}

// spare is a part that the platform can do without.
type spare struct {
	part
	optional bool
}

func (s spare) Optional() bool { return s.optional }

func TestHealthOfAnOptionalModule(t *testing.T) {
	for _, optional := range []bool{true, false} {
		var log []string
		away := errors.New("away")
		p, _ := platform.New(platform.Config{}, spare{part{name: "spare", log: &log, checkErr: away}, optional})
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h := p.Health(t.Context()); h.Ready != optional || !errors.Is(h.Modules["spare"], away) {
			t.Errorf("optional is %v: %+v", optional, h)
		}
		_ = p.Stop(t.Context())
	}
}

type reporter struct {
	bare
	health func(context.Context) platform.Health
}

func (r *reporter) ReportHealth(h func(context.Context) platform.Health) { r.health = h }

func TestReportHealth(t *testing.T) {
	r := &reporter{bare: "edge"}
	p, _ := platform.New(platform.Config{}, r)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.health(t.Context()).Ready {
		t.Error("the module was not handed the platform's health")
	}
	_ = p.Stop(t.Context())
}
