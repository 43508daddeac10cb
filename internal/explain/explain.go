// Package explain has the words that modules share when they say what they were
// made of ([platform.Explainer]).
package explain

import (
	"fmt"
	"time"

	"github.com/acme/platform"
)

// Part names what a module was given: a module by its name, and anything else as
// the host's own. What is left out is "nothing".
func Part(v any) string {
	switch m := v.(type) {
	case nil:
		return "nothing"
	case platform.Module:
		return m.Name()
	}
	return fmt.Sprintf("the host's own %T", v)
}

// Duration writes whole days as days.
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d >= day && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	case d >= time.Minute && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= time.Second && d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return d.String()
}

// Kept says how long something is kept; less than nothing is without an end.
func Kept(d time.Duration) string {
	if d < 0 {
		return "for good"
	}
	return "for " + Duration(d)
}

// Bytes writes a number of bytes in the largest unit that divides it.
func Bytes(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n != 0 && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
