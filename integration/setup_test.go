package integration

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
)

// place is where servers keep their data, as the flags that say so. What one
// server leaves there the next one finds.
type place []string

// folder is the embedded place.
func folder(dir string) place { return place{"--data", dir} }

// full has the stand-in of MongoDB, which is slow, do as much as MongoDB.
var full = flag.Bool("full", false, "make no less of the tests where a stand-in of MongoDB is slow")

// setup is a choice of stores. The tests of what every choice promises run on
// each of setups.
type setup struct {
	name string
	// place returns a new, empty place, or skips the test where a server of it
	// cannot be had.
	place func(t *testing.T) place
}

// The set-ups, as a platform grows: a file, one server, two, all.
var setups = []setup{
	{embedded, func(t *testing.T) place { return folder(t.TempDir()) }},
	{"postgres", func(t *testing.T) place { return onPostgres(t) }},
	{"postgres-redis", func(t *testing.T) place { return append(onPostgres(t), onRedis(t)...) }},
	{"all", func(t *testing.T) place {
		return append(append(append(onPostgres(t), onRedis(t)...), onKafka(t)...), onMongo(t)...)
	}},
}

const embedded = "embedded"

// everywhere runs the test on each set-up, with a place of its own.
func everywhere(t *testing.T, test func(t *testing.T, s setup, at place)) {
	t.Helper()
	for _, s := range setups {
		t.Run(s.name, func(t *testing.T) { test(t, s, s.place(t)) })
	}
}

// onRelational runs the test on the set-ups of one relational store and nothing
// else: a file, and PostgreSQL.
func onRelational(t *testing.T, test func(t *testing.T, s setup, at place)) {
	t.Helper()
	for _, s := range setups[:2] {
		t.Run(s.name, func(t *testing.T) { test(t, s, s.place(t)) })
	}
}

// slow reports whether records are kept by FerretDB, which reads a whole collection
// for each update.
func (s setup) slow() bool {
	return s.name == "all" && teststack.MongoFlavour() == "ferretdb" && !*full
}

// atMost is n, or the lesser of n and few where records are slow.
func (s setup) atMost(n, few int) int {
	if s.slow() {
		return min(n, few)
	}
	return n
}

// kills is how often TestKill kills a server of the set-up.
func (s setup) kills() int {
	switch {
	case testing.Short():
		return 3
	case *kills > 0:
		return *kills
	case s.name == embedded:
		return 25
	}
	return s.atMost(5, 2)
}

// of returns the value of a flag, "" where it is not there.
func (p place) of(flag string) string {
	if i := slices.Index(p, flag); i >= 0 {
		return p[i+1]
	}
	return ""
}

// relational opens the relational store of a place. Where it is a file, no
// server may be running.
func (p place) relational(t *testing.T) (db store.Relational, done func()) {
	t.Helper()
	if dir := p.of("--data"); dir != "" {
		file, err := testdb.Connect(t.Context(), filepath.Join(dir, "acme.db"))
		if err != nil {
			t.Fatal(err)
		}
		return file, func() { file.Close() }
	}
	server, err := testdb.Connect(t.Context(), p.of("--postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return server, func() { server.Close() }
}

// places counts them, so that each has names of its own on the shared servers.
var places atomic.Int64

func onPostgres(t *testing.T) place {
	t.Helper()
	return place{"--postgres", teststack.Postgres(t), "--mail-dir", filepath.Join(t.TempDir(), "mail"), "--sealing-keys", testseal.Keyset}
}

func onRedis(t *testing.T) place {
	t.Helper()
	return place{"--redis", fmt.Sprintf("%s?prefix=test%d", teststack.Redis(t), places.Add(1))}
}

func onKafka(t *testing.T) place {
	t.Helper()
	return place{"--kafka", fmt.Sprintf("kafka://%s/test%d?replication=1&partitions=4", teststack.Kafka(t), places.Add(1))}
}

func onMongo(t *testing.T) place {
	t.Helper()
	return place{"--mongo", fmt.Sprintf("%s/test%d", strings.TrimSuffix(teststack.Mongo(t), "/"), places.Add(1))}
}
