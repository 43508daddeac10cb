package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

type logLine struct {
	Level, Msg, Code string
	Suppressed       int
}

func linesOf(t *testing.T, b *bytes.Buffer) []logLine {
	t.Helper()
	var lines []logLine
	for dec := json.NewDecoder(b); dec.More(); {
		var l logLine
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// A service that refuses under load says so a few times a second, with the
// number of the lines that are left out.
func TestRefusalsAreSampledWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := problem.Sampled(slog.New(slog.NewJSONHandler(&b, nil)))
		busy := platform.Errorf(platform.KindUnavailable, "busy", "too many logins at once")
		full := platform.Errorf(platform.KindUnavailable, "ingest_busy", "too many events at once")
		for range 780 {
			platform.LogProblem(t.Context(), log, 503, busy)
		}
		platform.LogProblem(t.Context(), log, 503, full)
		lines := linesOf(t, &b)
		if len(lines) != 11 || lines[0] != (logLine{"WARN", "request refused", "busy", 0}) || lines[10].Code != "ingest_busy" {
			t.Fatalf("%d lines: %+v", len(lines), lines)
		}
		time.Sleep(time.Second)
		// What is made of the logger counts with it.
		platform.LogProblem(t.Context(), problem.Sampled(log.With(slog.String("service", "user"))), 503, busy)
		platform.LogProblem(t.Context(), log, 503, busy)
		lines = linesOf(t, &b)
		if len(lines) != 2 || lines[0].Suppressed != 770 || lines[1].Suppressed != 0 {
			t.Errorf("a second later: %+v", lines)
		}
	})
}

// What is broken stays an error, and no fault of ours is left out.
func TestFaultsAreErrors(t *testing.T) {
	var b bytes.Buffer
	log := problem.Sampled(slog.New(slog.NewJSONHandler(&b, nil)))
	broken := errors.New("connection refused")
	for range 20 {
		platform.LogProblem(t.Context(), log, 500, broken)
		platform.LogProblem(t.Context(), log, 503, platform.Errorf(platform.KindUnavailable, "", "no database").Because(broken))
	}
	counts := map[logLine]int{}
	for _, l := range linesOf(t, &b) {
		counts[l]++
	}
	if counts[logLine{"ERROR", "request failed", "", 0}] != 20 || counts[logLine{"ERROR", "request failed", "unavailable", 0}] != 10 {
		t.Errorf("%v", counts)
	}
	if problem.Sampled(nil) != nil || problem.Sampled(log) != log {
		t.Error("a logger that is sampled, or none, must stay as it is")
	}
	platform.LogProblem(context.Background(), nil, 500, broken)
}
