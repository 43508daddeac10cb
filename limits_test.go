package platform_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/acme/platform"
)

func TestLimitsHaveNamesAndDefaults(t *testing.T) {
	numbers := 0
	standard := reflect.ValueOf(platform.DefaultLimits())
	for i := range standard.NumField() {
		if f := standard.Field(i); f.Kind() == reflect.Int64 {
			numbers++
			if f.Int() <= 0 {
				t.Errorf("%s has no default", standard.Type().Field(i).Name)
			}
		}
	}
	if names := platform.LimitNames(); len(names) != numbers {
		t.Errorf("%d fields have %d names", numbers, len(names))
	}
	seen := map[platform.Limits]bool{{}: true}
	for _, name := range platform.LimitNames() {
		var l platform.Limits
		if err := l.Set(name, 7); err != nil || seen[l] {
			t.Errorf("%s sets nothing, or what another name sets: %v", name, err)
		}
		seen[l] = true
	}
	if err := new(platform.Limits).Set("data.recrods", 1); err == nil {
		t.Error("a limit that is not there was set")
	}
}

// The guide's table has every limit with its default.
func TestLimitsAreInTheGuide(t *testing.T) {
	guide, err := os.ReadFile("docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ([0-9]+) \\|").FindAllStringSubmatch(string(guide), -1) {
		rows[m[1]] = m[2]
	}
	for _, name := range platform.LimitNames() {
		var l platform.Limits
		value, err := strconv.ParseInt(rows[name], 10, 64)
		if err == nil {
			err = l.Set(name, value)
		}
		if got, _ := platform.LimitsFunc(func(context.Context, platform.TenantID) (platform.Limits, error) { return l, nil }).Of(t.Context(), "org_1"); err != nil ||
			got != withShare(platform.DefaultLimits(), "org_1") {
			t.Errorf("%s: the guide says %q: %v", name, rows[name], err)
		}
	}
	if len(rows) != len(platform.LimitNames()) {
		t.Errorf("the guide has %d limits, and there are %d", len(rows), len(platform.LimitNames()))
	}
}

func withShare(l platform.Limits, share string) platform.Limits {
	l.Share = share
	return l
}

func TestLimitsOf(t *testing.T) {
	none, err := platform.LimitsFunc(nil).Of(t.Context(), "org_1")
	want := platform.DefaultLimits()
	want.Share = "org_1"
	if err != nil || none != want {
		t.Errorf("got %+v, %v", none, err)
	}
	plan := platform.LimitsFunc(func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
		if tenant == "org_2" {
			return platform.Limits{}, errors.New("no plans today")
		}
		return platform.Limits{Share: "usr_1", Records: 3, Members: -1}, nil
	})
	l, err := plan.Of(t.Context(), "org_1")
	if err != nil || l.Share != "usr_1" || l.Records != 3 || l.Members != -1 || l.Collections != want.Collections {
		t.Errorf("got %+v, %v", l, err)
	}
	if _, err := plan.Of(t.Context(), "org_2"); err == nil {
		t.Error("a plan that cannot be had means no limit")
	}
}

func TestLimitErrors(t *testing.T) {
	if e := platform.OverLimit("data.records", 3); e.Kind != platform.KindForbidden || e.CodeOrKind() != "limit_exceeded" {
		t.Errorf("got %+v", e)
	}
	if e := platform.OverRate("notify.emails", 3, time.Hour); e.Kind != platform.KindLimited || e.RetryAfter != time.Hour {
		t.Errorf("got %+v", e)
	}
}
