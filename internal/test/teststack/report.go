package teststack

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var reporting sync.Mutex

// Skip skips a test for want of something, and counts it. Where PLATFORM_REQUIRE
// lists what, the test fails.
func Skip(tb testing.TB, what, reason string) {
	tb.Helper()
	if slices.Contains(strings.Split(os.Getenv("PLATFORM_REQUIRE"), ","), what) {
		tb.Fatalf("%s is required: %s", what, reason)
	}
	SkipCase(tb, what, reason)
}

// SkipCase is [Skip] for a case that the server at hand cannot run although it
// is there: it is counted and never a failure.
func SkipCase(tb testing.TB, what, reason string) {
	tb.Helper()
	note("skipped\t%s\t%s\t%s", what, tb.Name(), reason)
	tb.Skipf("%s: %s", what, reason)
}

// Note adds a figure of a test to the report.
func Note(tb testing.TB, text string) { note("figure\t%s\t%s\t", tb.Name(), text) }

// note adds a line to the report.
func note(format string, args ...any) {
	path := os.Getenv("PLATFORM_TEST_REPORT")
	if path == "" {
		return
	}
	reporting.Lock()
	defer reporting.Unlock()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, "teststack:", err)
		return
	}
	defer f.Close()
	// One write, since several test programs append at once.
	fmt.Fprintln(f, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
}
