package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
)

// TestDatabaseComesLater starts the program before its database: it is alive
// and not ready, and serves as soon as the database does.
func TestDatabaseComesLater(t *testing.T) {
	db := teststack.Start(t, teststack.PostgresServer)
	db.Stop(t)
	s, err := spawn(t, place{"--postgres", db.URL(), "--sealing-keys", testseal.Keyset})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a line in the log", func() bool { return strings.Contains(s.logged(), "does not answer") })
	c := s.client("")
	c.want(http.StatusOK, "GET", "/livez", nil, nil)
	c.want(http.StatusServiceUnavailable, "GET", "/readyz", nil, nil)
	c.want(http.StatusServiceUnavailable, "GET", "/v1/me", nil, nil)
	db.Start(t)
	eventually(t, "the server to be ready", func() bool { return c.do("GET", "/readyz", nil).status == http.StatusOK })
	s.signUp("ann@example.com", "Ann's").want(http.StatusOK, "GET", "/v1/me", nil, nil)
}

// TestStoreStaysAway sees the program give up, say why, and show no password.
func TestStoreStaysAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	for _, at := range []place{
		{"--sealing-keys", testseal.Keyset, "--postgres", "postgres://ann:hunter2@" + nobody + "/acme"},
		{"--data", t.TempDir(), "--redis", "redis://ann:hunter2@" + nobody},
		{"--data", t.TempDir(), "--mongo", "mongodb://ann:hunter2@" + nobody + "/acme"},
		{"--data", t.TempDir(), "--kafka", "kafka://ann:hunter2@" + nobody + "/acme?sasl=scram-sha-256"},
	} {
		name := strings.TrimLeft(at[len(at)-2], "-")
		t.Run(name, func(t *testing.T) {
			s, err := launch(t, at, "--start-timeout", "300ms")
			if err == nil {
				t.Fatal("it started")
			}
			<-s.done
			log := s.logged()
			if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(log, "gave up") || !strings.Contains(log, name) {
				t.Errorf("exit code %d\n%s", code, log)
			}
			if strings.Contains(log, "hunter2") {
				t.Errorf("it shows a password:\n%s", log)
			}
		})
	}
}

// TestWrongPassword sees the program end at once: waiting does not help.
func TestWrongPassword(t *testing.T) {
	u := mustParse(t, teststack.Postgres(t))
	u.User = url.UserPassword("postgres", "hunter2")
	s, err := launch(t, place{"--postgres", u.String(), "--sealing-keys", testseal.Keyset})
	if err == nil {
		t.Fatal("it started")
	}
	<-s.done
	log := s.logged()
	if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(log, "password authentication failed") ||
		strings.Contains(log, "does not answer") || strings.Contains(log, "hunter2") {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// TestThreeLogins runs the server with a login for each role, so that the one
// that serves requests can neither migrate nor read across tenants.
func TestThreeLogins(t *testing.T) {
	owner := teststack.Postgres(t)
	if code := start(t, place{"--postgres", owner, "--sealing-keys", testseal.Keyset}).stop(); code != 0 { // makes the roles
		t.Fatalf("exit code %d", code)
	}
	db, err := sql.Open("pgx", owner)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	at := place{"--postgres", owner, "--sealing-keys", testseal.Keyset}
	for _, role := range []string{"runtime", "system"} {
		login := fmt.Sprintf("login_%s_%d", role, places.Add(1))
		exec := func(statement string) {
			if _, err := db.ExecContext(context.Background(), statement); err != nil {
				t.Fatal(err)
			}
		}
		exec("CREATE ROLE " + login + " LOGIN PASSWORD 'secret' IN ROLE platform_" + role)
		defer exec("DROP ROLE " + login)
		u := mustParse(t, owner)
		u.User = url.UserPassword(login, "secret")
		at = append(at, "--postgres-"+role, u.String())
	}
	s := start(t, at)
	inbox(t, s.signUp("ann@example.com", "Ann's"), s.signUp("bob@example.com", "Bob's"))
	var used int
	if err := db.QueryRowContext(t.Context(), `SELECT count(DISTINCT usename) FROM pg_stat_activity WHERE usename LIKE 'login\_%'`).Scan(&used); err != nil || used != 2 {
		t.Errorf("%d of the two logins are in use, %v", used, err)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
