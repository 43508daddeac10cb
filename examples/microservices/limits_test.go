package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/acme/platform"
)

func TestLimitOption(t *testing.T) {
	env := map[string]string{
		"PLATFORM_POSTGRES": "postgres://a", "PLATFORM_ASSERTION_PUBLIC_KEY": strings.Repeat("A", 43) + "=",
		"PLATFORM_LIMIT": "members=5,data.records=-1",
	}
	standard := platform.DefaultLimits()
	for name, c := range map[string]struct {
		args             []string
		members, records int64
	}{
		"environment": {nil, 5, -1},
		"flags":       {[]string{"--limit", "members=3", "--limit", "scans=1"}, 3, standard.Records},
	} {
		o, err := parse(roleAnalytics, c.args, environment(env), &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.plans().Of(t.Context(), "org_1")
		if err != nil || got.Members != c.members || got.Records != c.records {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for value, says := range map[string]string{
		"people=1": strings.Join(platform.LimitNames(), ", "), "members=-2": "name=value", "members": "name=value",
		"members=1,members=2": "twice",
	} {
		if _, err := parse(roleAnalytics, []string{"--limit", value}, environment(env), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want it to say %q", value, err, says)
		}
	}
}
