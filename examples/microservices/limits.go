package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/acme/platform"
)

func limitUsage() string {
	return "bound what each organization may keep and do, the same for all processes: name=value, again or separated by commas; 0 is the default, -1 is no limit. The names are " +
		strings.Join(platform.LimitNames(), ", ")
}

// parseLimits reads name=value, name=value. A limit that is there twice is an
// error: one of the two would be without effect.
func parseLimits(raw string) (limits platform.Limits, err error) {
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(raw, ",") {
		name, number, found := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseInt(number, 10, 64)
		if !found || err != nil || n < -1 {
			return platform.Limits{}, errors.New("must be name=value with a whole number; 0 is the default, -1 is no limit")
		}
		if seen[name] {
			return platform.Limits{}, errors.New("a limit is there twice")
		}
		seen[name] = true
		if err := limits.Set(name, n); err != nil {
			return platform.Limits{}, err
		}
	}
	return limits, nil
}

// plans gives every tenant the limits of the options.
func (o *options) plans() platform.LimitsFunc {
	limits := o.limits
	return func(context.Context, platform.TenantID) (platform.Limits, error) { return limits, nil }
}
