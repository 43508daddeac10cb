package standard_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/acme/platform/standard"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/mongo"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/store/seal"
)

// embedded is what the platform with nothing but a folder says of itself. The
// number of readers depends on the machine, that of operations grows.
const embedded = `
sqlite     the file acme-data/acme.db, synchronous=FULL, N readers and 64 long ones, 64 MiB of the disk kept in reserve
seal       secrets are sealed under keys in the file acme-data/acme.keys
events     a table of sqlite, kept for 7 days, batches of 500, leases of 10 s; its relay: from the outbox of sqlite to events, batches of 500, a look every 1 s, dead events kept for 30 days
documents  tables of sqlite
user       accounts in sqlite, issuer https://api.example.com, access tokens of 10 min, sessions of up to 90 days, ended when idle for 30 days
data       records in documents, each of up to 1 MiB
analytics  events in sqlite, kept for 400 days, a query reads up to 5000000 rows into 1000000 groups
notify     messages in sqlite, of events of events, by jobs of queue, e-mail by *notify.MailFolder, messages kept for 90 days, deliveries kept for 30 days
queue      jobs in sqlite, 16 workers for each kind, leases of 10 s, dead jobs kept for 30 days
gateway    N operations in this process, under /, each credential 6000 requests in 1 min, bodies of up to 1 MiB
`

// An operator reads what was assembled before it is started.
func TestExplain(t *testing.T) {
	p, err := standard.New(standard.Config{Data: "acme-data", PublicURL: "https://api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	explain := func() string {
		return regexp.MustCompile(`\d+ (readers|operations)`).ReplaceAllString(p.Explain(), "N $1")
	}
	got := explain()
	if got != strings.TrimPrefix(embedded, "\n") {
		t.Errorf("got\n%s\nwant%s", got, embedded)
	}
	if again := explain(); again != got {
		t.Errorf("a second time it says\n%s", again)
	}
}

// The servers are named, and no password is.
func TestExplainShowsNoSecret(t *testing.T) {
	p, err := standard.New(standard.Config{
		PublicURL:  "https://api.example.com",
		Sealer:     seal.Open(seal.File("/etc/acme/platform.keys")),
		Relational: postgres.Open("postgres://owner:hunter2@pg.example:5433/acme"),
		Documents:  mongo.Open("mongodb://app:hunter2@m1.example:27017,m2.example:27017/films"),
		Live:       redis.Open("rediss://app:hunter2@cache.example:6380/3?prefix=acme"),
		Events:     kafka.Open("kafkas://app:hunter2@k1.example:9093/events?sasl=scram-sha-512"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := p.Explain()
	for _, part := range []string{
		"keys in the file /etc/acme/platform.keys", "pg.example:5433/acme", "m1.example:27017, m2.example:27017", "database films", "cache.example:6380, database 3", `"acme:"`,
		"k1.example:9093 with TLS and SCRAM-SHA-512", "the topic events", "from the outbox of postgres to kafka",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
	if strings.Contains(got, "hunter2") {
		t.Errorf("it shows a password:\n%s", got)
	}
}
