package platform_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/mongo"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/user"
)

// A module that was given a part which nobody starts is refused when the platform
// is assembled, by an error that names both and says what to do; with all that it
// needs it is not.
func TestEveryModuleNamesWhatItNeeds(t *testing.T) {
	db, err := sqlite.New(filepath.Join(t.TempDir(), "acme.db"))
	ok(t, err)
	live, err := redis.New(redis.Config{URL: "redis://127.0.0.1:1"})
	ok(t, err)
	remote, err := kafka.New(kafka.Config{Brokers: []string{"127.0.0.1:1"}, Topic: "t", Plaintext: true})
	ok(t, err)
	events, err := sqlevents.New(sqlevents.Config{DB: db})
	ok(t, err)
	documents, err := sqldocs.New(sqldocs.Config{DB: db})
	ok(t, err)
	jobs, err := queue.New(queue.Config{DB: db})
	ok(t, err)
	relay, err := outbox.New(outbox.Config{DB: db, Events: remote})
	ok(t, err)
	mongos, err := mongo.New(mongo.Config{URL: "mongodb://127.0.0.1:1", Events: remote})
	ok(t, err)
	sealer, err := seal.New(seal.Config{Keys: seal.File(filepath.Join(t.TempDir(), "acme.keys"))})
	ok(t, err)
	users, err := user.New(user.Config{
		DB: db, Sealer: sealer, Issuer: "https://api.example.com", PubSub: live.PubSub(),
		Cache: store.FallbackCache(live.Cache(), memory.NewCache(1<<20)),
	})
	ok(t, err)
	records, err := data.New(data.Config{Documents: documents})
	ok(t, err)
	metrics, err := analytics.New(analytics.Config{DB: db})
	ok(t, err)
	messages, err := notify.New(notify.Config{DB: db, Sealer: sealer, Events: events, Queue: jobs, PubSub: live.PubSub(), Directory: nobody{}})
	ok(t, err)
	gw, err := gateway.New(gateway.Config{Authenticators: gateway.Credentials(users), Authorizer: users, Cache: live.Cache()}, users, records)
	ok(t, err)

	all := []platform.Module{db, sealer, live, remote, events, documents, relay, users, records, metrics, messages, jobs, gw}
	if _, err := platform.New(platform.Config{}, all...); err != nil {
		t.Fatalf("nothing is missing: %v", err)
	}
	for _, c := range []struct {
		module platform.Module
		needs  []platform.Module
	}{
		{events, []platform.Module{db}},
		{documents, []platform.Module{db}},
		{jobs, []platform.Module{db}},
		{relay, []platform.Module{db, remote}},
		{users, []platform.Module{db, sealer, live}},
		{records, []platform.Module{documents}},
		{metrics, []platform.Module{db}},
		{messages, []platform.Module{db, sealer, events, jobs, live}},
		{gw, []platform.Module{users, live}}, // data has nothing to start
	} {
		for _, missing := range c.needs {
			var rest []platform.Module
			for _, m := range all {
				if m != missing {
					rest = append(rest, m)
				}
			}
			refused(t, c.module, missing, rest...)
		}
	}
	refused(t, mongos, remote, mongos)
}

// refused assembles the modules, of which one needs another that is not there.
func refused(t *testing.T, module, missing platform.Module, set ...platform.Module) {
	t.Helper()
	_, err := platform.New(platform.Config{}, set...)
	want := "platform: " + module.Name() + " needs " + missing.Name() +
		", which is not among the modules: pass it to New too, or name it in Config.Elsewhere"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
