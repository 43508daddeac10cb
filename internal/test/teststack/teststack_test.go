package teststack_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/acme/platform/internal/test/teststack"
)

func TestMain(m *testing.M) { os.Exit(teststack.Main(m)) }

func TestPostgresIsFresh(t *testing.T) {
	for range 2 {
		conn, err := pgx.Connect(t.Context(), teststack.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "CREATE TABLE t (n int)"); err != nil {
			t.Error(err)
		}
		conn.Close(context.Background())
	}
}

// A server keeps its address and its data over every kind of end.
func TestServerComesBack(t *testing.T) {
	s := teststack.Start(t, teststack.PostgresServer)
	do := func(statement string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), s.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE t (n int)")
	s.Stop(t)
	s.Start(t)
	do("INSERT INTO t VALUES (1)")
	s.Kill(t)
	s.Start(t)
	do("INSERT INTO t VALUES (2)")
	s.Pause(t)
	s.Unpause(t)
	do("INSERT INTO t VALUES (3)")
}

func TestEveryKindListens(t *testing.T) {
	for name, s := range map[string]func(testing.TB) string{"redis": teststack.Redis, "mongo": teststack.Mongo, "kafka": teststack.Kafka} {
		t.Run(name, func(t *testing.T) {
			addr := s(t)
			for _, prefix := range []string{"redis://", "mongodb://"} {
				if len(addr) > len(prefix) && addr[:len(prefix)] == prefix {
					addr = addr[len(prefix):]
				}
			}
			if i := len(addr) - 2; addr[i:] == "/0" {
				addr = addr[:i]
			}
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		})
	}
}

func TestLostReply(t *testing.T) {
	s := teststack.Start(t, teststack.PostgresServer)
	p := teststack.NewLostReply(t, s.Addr, "INSERT")
	connect := func() *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), s.URLAt(p.Addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	conn := connect()
	if _, err := conn.Exec(t.Context(), "CREATE TABLE t (n int); INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	p.Arm(1)
	if _, err := conn.Exec(t.Context(), "INSERT INTO t VALUES (2)"); err == nil {
		t.Error("the answer was not lost")
	}
	var n int
	if err := connect().QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 2 || p.Lost() != 1 {
		t.Errorf("%d rows of 2, %v, %d lost", n, err, p.Lost())
	}
}

func TestProxy(t *testing.T) {
	s := teststack.Start(t, teststack.PostgresServer)
	p := teststack.NewProxy(t, "", s.Addr)
	ask := func() error {
		conn, err := pgx.Connect(t.Context(), s.URLAt(p.Addr))
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if ask() == nil {
		t.Error("a cut proxy lets through")
	}
	p.Restore(t)
	p.Slow(t, time.Millisecond)
	if err := ask(); err != nil {
		t.Error(err)
	}
	p.Fast()
}
