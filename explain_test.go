package platform_test

import (
	"context"
	"testing"

	"github.com/acme/platform"
)

// talkative says more than a line of itself.
type talkative struct{}

func (talkative) Name() string    { return "talkative" }
func (talkative) Explain() string { return "one\n two\t three " }

// silent says nothing of itself.
type silent struct{}

func (silent) Name() string                { return "silent" }
func (silent) Start(context.Context) error { return nil }

// Explain has a line for each module, in the order of their start, before the
// start and after.
func TestExplain(t *testing.T) {
	p, err := platform.New(platform.Config{}, talkative{}, silent{})
	if err != nil {
		t.Fatal(err)
	}
	const want = "talkative  one two three\nsilent     platform_test.silent\n"
	for range 2 {
		if got := p.Explain(); got != want {
			t.Errorf("got\n%s", got)
		}
		_ = p.Start(t.Context())
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
