package platform_test

import (
	"context"
	"strings"
	"testing"

	"github.com/acme/platform"
)

// dependent is a module that needs others.
type dependent struct {
	bare
	needs []any
}

func (d *dependent) Needs() []any { return d.needs }

// cacheOf is a part of a module.
type cacheOf struct{ *starting }

func (c cacheOf) PartOf() platform.Module { return c.starting }

// starting is a module with something to start.
type starting struct{ bare }

func (*starting) Start(context.Context) error { return nil }

func TestNeeds(t *testing.T) {
	jobs := &starting{"queue"}
	var none *starting
	for name, c := range map[string]struct {
		needs     []any
		others    []platform.Module
		elsewhere []platform.Module
		refused   bool
	}{
		"in the set":                 {[]any{jobs}, []platform.Module{jobs}, nil, false},
		"left out":                   {[]any{jobs}, nil, nil, true},
		"another one of that name":   {[]any{jobs}, []platform.Module{&starting{"queue"}}, nil, true},
		"a part, its module there":   {[]any{cacheOf{jobs}}, []platform.Module{jobs}, nil, false},
		"a part, its module not":     {[]any{cacheOf{jobs}}, nil, nil, true},
		"started elsewhere":          {[]any{jobs}, nil, []platform.Module{jobs}, false},
		"nothing to start":           {[]any{bare("pool")}, nil, nil, false},
		"no module":                  {[]any{"a host's own", nil, none}, nil, nil, false},
		"one of two":                 {[]any{jobs, &starting{"events"}}, []platform.Module{jobs}, nil, true},
		"a module that is no handle": {[]any{part{name: "x", log: new([]string)}}, nil, nil, true},
	} {
		_, err := platform.New(platform.Config{Elsewhere: c.elsewhere}, append(c.others, &dependent{"notify", c.needs})...)
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "notify needs ") {
			t.Errorf("%s: the error names not both: %v", name, err)
		}
	}
}
