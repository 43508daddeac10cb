package integration

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/store/postgres"
)

// lateModule is the host's: it starts after the stores and the services.
type lateModule struct {
	start func(context.Context) error
}

func (lateModule) Name() string                      { return "late" }
func (m lateModule) Start(ctx context.Context) error { return m.start(ctx) }

// A start that fails in the middle, or whose context ends there, closes all that
// was started: no file, no connection and no goroutine is left, and the next start
// finds everything as it was.
func TestHalfStartedSetIsClosed(t *testing.T) {
	broken := errors.New("the module does not start")
	type fixture struct {
		cfg  standard.Config
		open func() int // files or connections
	}
	for name, prepare := range map[string]func(t *testing.T) fixture{
		"sqlite": func(t *testing.T) fixture {
			dir := t.TempDir()
			return fixture{standard.Config{Data: dir}, func() int { return openFiles(t, dir) }}
		},
		"postgres": func(t *testing.T) fixture {
			url := teststack.Postgres(t)
			separator := "?"
			if strings.Contains(url, "?") {
				separator = "&"
			}
			const application = "half-start"
			admin, err := sql.Open("pgx", url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = admin.Close() })
			return fixture{
				standard.Config{Data: t.TempDir(), Sealer: testseal.Opener(), PublicURL: "https://api.example.com", Relational: postgres.Open(url + separator + "application_name=" + application)},
				func() (n int) {
					err := admin.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity
						WHERE application_name = $1 AND datname = current_database()`, application).Scan(&n)
					if err != nil {
						t.Fatal(err)
					}
					return n
				},
			}
		},
	} {
		for how, start := range map[string]func(cancel context.CancelFunc) func(context.Context) error{
			"an error": func(context.CancelFunc) func(context.Context) error {
				return func(context.Context) error { return broken }
			},
			"the context ends": func(cancel context.CancelFunc) func(context.Context) error {
				return func(ctx context.Context) error {
					cancel()
					<-ctx.Done()
					return ctx.Err()
				}
			},
			"the context ends unseen": func(cancel context.CancelFunc) func(context.Context) error {
				return func(context.Context) error {
					cancel()
					return nil // the next module is not started
				}
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				f := prepare(t)
				f.open() // its own connection is there before
				before := goleak.IgnoreCurrent()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				inMiddle := 0
				cfg := f.cfg
				cfg.Modules = func(standard.Parts) ([]platform.Module, error) {
					return []platform.Module{lateModule{func(ctx context.Context) error {
						inMiddle = f.open()
						return start(cancel)(ctx)
					}}}, nil
				}
				_, err := standard.Open(ctx, cfg)
				if !errors.Is(err, broken) && !errors.Is(err, context.Canceled) {
					t.Fatalf("got %v", err)
				}
				if inMiddle == 0 {
					t.Error("nothing was open in the middle: the test sees nothing")
				}
				for n := 1; n > 0; { // the server takes a moment to see the end of a connection
					n = f.open()
					if n > 0 && name == "sqlite" {
						t.Fatalf("%d files are open", n)
					}
				}
				if err := goleak.Find(before); err != nil {
					t.Error(err)
				}
				api, err := standard.Open(t.Context(), f.cfg)
				if err != nil {
					t.Fatal(err)
				}
				if err := api.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// openFiles counts the descriptors of this process for files in a folder, where
// the system tells.
func openFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("the system does not tell which files are open")
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && strings.HasPrefix(to, dir) {
			n++
		}
	}
	return n
}
