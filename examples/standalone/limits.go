package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/acme/platform"
)

// tenantLimits is the flag --limit: the limits that hold for every tenant, as
// name=value, separated by commas or by giving the flag again.
type tenantLimits struct {
	limits platform.Limits
	given  map[string]bool
}

func limitUsage() string {
	return "bound what each organization may keep and do: name=value, again or separated by commas; 0 is the default, -1 is no limit. The names are " +
		strings.Join(platform.LimitNames(), ", ")
}

// String implements [flag.Value].
func (l *tenantLimits) String() string { return "" }

// Set implements [flag.Value]. A limit that is given twice is an error: one of
// the two would be without effect.
func (l *tenantLimits) Set(value string) error {
	for _, part := range list(value) {
		name, number, found := strings.Cut(part, "=")
		n, err := strconv.ParseInt(number, 10, 64)
		if !found || err != nil || n < -1 {
			return errors.New("must be name=value with a whole number; 0 is the default, -1 is no limit")
		}
		if err := l.limits.Set(name, n); err != nil {
			return err
		}
		if l.given[name] {
			return fmt.Errorf("the limit %s is there twice", name)
		}
		if l.given == nil {
			l.given = make(map[string]bool)
		}
		l.given[name] = true
	}
	return nil
}

// plans gives every tenant the limits of the options.
func (o options) plans() platform.LimitsFunc {
	limits := o.limits.limits
	return func(context.Context, platform.TenantID) (platform.Limits, error) { return limits, nil }
}
