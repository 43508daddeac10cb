package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/acme/platform"
)

// TestLimitOption sets limits by the flag, the environment and a file, of which
// the first that is there counts as a whole.
func TestLimitOption(t *testing.T) {
	file := configFile(t, "PLATFORM_LIMIT=members=7\n", 0o600)
	variables := map[string]string{"PLATFORM_LIMIT": "members=5,data.records=-1"}
	standard := platform.DefaultLimits()
	for name, c := range map[string]struct {
		args             []string
		env              map[string]string
		members, records int64
	}{
		"nothing":     {nil, nil, standard.Members, standard.Records},
		"flags":       {[]string{"--limit", "members=3", "--limit=data.records=100"}, variables, 3, 100},
		"commas":      {[]string{"--limit", "members=3, data.records=-1"}, nil, 3, -1},
		"default":     {[]string{"--limit", "members=0"}, variables, standard.Members, standard.Records},
		"environment": {[]string{"--config", file}, variables, 5, -1},
		"file":        {[]string{"--config", file}, nil, 7, standard.Records},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parse(c.args, environment(c.env), &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := o.plans().Of(t.Context(), "org_1")
			if err != nil || got.Members != c.members || got.Records != c.records || got.Share != "org_1" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestBadLimitOption(t *testing.T) {
	for value, says := range map[string]string{
		"members":                          "name=value",
		"members=many":                     "name=value",
		"members=-2":                       "name=value",
		"Members=1":                        strings.Join(platform.LimitNames(), ", "),
		"members=1,members=2":              "members is there twice",
		"members=1,=":                      "name=value",
		"data.records=1.5":                 "name=value",
		"data.records=1_000":               "name=value",
		"data.records=9999999999999999999": "name=value",
	} {
		for name, c := range map[string]struct {
			args []string
			env  map[string]string
		}{
			"flag":        {args: []string{"--limit", value}},
			"environment": {env: map[string]string{"PLATFORM_LIMIT": value}},
		} {
			_, err := parse(c.args, environment(c.env), &bytes.Buffer{})
			want := says
			if name == "environment" { // whose errors show no value
				want = "PLATFORM_LIMIT: must be"
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %q: got %v, want it to say %q", name, value, err, want)
			}
			if name == "environment" && err != nil && !strings.Contains(err.Error(), "notify.fan_out") {
				t.Errorf("%s %q: %v does not list the names", name, value, err)
			}
		}
	}
}
