// Package problem bounds how many lines a log gets of the problems that package
// platform answers with. The names of its former functions stand here as long as
// something calls them.
package problem

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/acme/platform"
)

// ContentType is platform.ProblemContentType.
const ContentType = platform.ProblemContentType

// Problem is platform.Problem.
type Problem = platform.Problem

// Field is platform.ProblemField.
type Field = platform.ProblemField

// Status is [platform.Kind.Status].
func Status(k platform.Kind) int { return k.Status() }

// From is [platform.ProblemFrom].
func From(ctx context.Context, err error) *Problem { return platform.ProblemFrom(ctx, err) }

// New is [platform.NewProblem].
func New(ctx context.Context, status int, code, detail string) *Problem {
	return platform.NewProblem(ctx, status, code, detail)
}

// Body is [platform.BodyProblem].
func Body(ctx context.Context, err error) *Problem { return platform.BodyProblem(ctx, err) }

// Write is [platform.WriteProblem].
func Write(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	platform.WriteProblem(w, r, log, err)
}

// Log is [platform.LogProblem].
func Log(ctx context.Context, log *slog.Logger, status int, err error) {
	platform.LogProblem(ctx, log, status, err)
}
