package mongo

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/acme/platform/internal/serverurl"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
)

// Config configures [Documents]. Events and one of URL and Client are required,
// and Database beside Client.
//
// Zero is the default that each field names. A negative number is refused by
// [New]. When in doubt leave the others alone, but for Logger.
type Config struct { //nolint:recvcheck // Open is taken of a literal, the others change a copy
	// URL is where the servers are: "mongodb://user@host:27017/database?tls=true"
	// or mongodb+srv://. Credentials, TLS and the default of Database are part of
	// it.
	URL string
	// Client is a client of the host's own, instead of URL. Where the server is
	// not a member of a replica set it must be made with retryWrites=false, and
	// it should have a timeout. It stays the host's.
	Client *mongo.Client
	// Database is the name of the database; empty is the one that URL names, or
	// "platform". It holds a dozen collections, however many tenants there are.
	Database string
	// Events is where the events of changes are published.
	Events store.Events
	// Logger takes failures, once when they begin and once when they end, and
	// every event that is set aside; nil is silence.
	Logger *slog.Logger
	// Now is the clock of the documents' times; nil is time.Now. Nothing else
	// depends on it.
	Now func() time.Time
	// Rand returns numbers evenly from [0, 1) for jitter and may be called by
	// many goroutines at once; nil is math/rand/v2.
	Rand func() float64
	// Timeout bounds one step of a call, such as a read or a commit; zero is
	// 10 s. A call whose context ends earlier returns earlier, unless its
	// commit has begun.
	Timeout time.Duration
	// Batch is the most events that are published at once, up to 10,000; zero
	// is 500.
	Batch int
	// Interval is how often the relay looks for events that other processes
	// committed; those of this process wake it. Zero is 250 ms.
	Interval time.Duration
	// Lease is how long the other processes wait for the relay that is not
	// heard of before one takes over; zero is 15 s, the least is 1 s.
	Lease time.Duration
	// Grace is how long what may be a leftover of a process that died is left
	// alone; zero is one minute. It decides what is tidied up, not what is
	// right.
	Grace time.Duration
	// MinBackoff and MaxBackoff bound the pause after the stream failed: it
	// doubles from the first to the second, and a random half of it is left
	// out. Zero is 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// DeadRetention is how long events are kept that were set aside because no
	// stream takes them; zero is 30 days.
	DeadRetention time.Duration
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Batch = cmp.Or(c.Batch, 500)
	c.Interval = cmp.Or(c.Interval, 250*time.Millisecond)
	c.Lease = cmp.Or(c.Lease, 15*time.Second)
	c.Grace = cmp.Or(c.Grace, time.Minute)
	c.MinBackoff = cmp.Or(c.MinBackoff, 100*time.Millisecond)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 30*time.Second)
	c.DeadRetention = cmp.Or(c.DeadRetention, 30*24*time.Hour)
}

func (c *Config) validate() error {
	check := setting.For("mongo")
	if c.URL != "" && !strings.HasPrefix(c.URL, srv) { // which asks a name server
		check.Need(c.options().Validate() == nil, "URL", "must be one of MongoDB, such as mongodb://host:27017/database")
	}
	check.Need((c.URL == "") != (c.Client == nil), "URL", "or Config.Client must be set, and not both")
	check.Need(c.Database != "", "Database", "must be set")
	check.Need(c.Events != nil, "Events", "must be set")
	check.Need(c.Timeout > 0, "Timeout", "must be positive")
	check.Need(c.Batch >= 1 && c.Batch <= 10_000, "Batch", "must be 1 to 10,000")
	check.Need(c.Interval > 0, "Interval", "must be positive")
	check.Need(c.Lease >= time.Second, "Lease", "must be at least 1 s")
	check.Need(c.Grace > 0, "Grace", "must be positive")
	check.Need(c.MinBackoff > 0, "MinBackoff", "must be positive")
	check.Need(c.MaxBackoff >= c.MinBackoff, "MaxBackoff", "must be at least MinBackoff")
	check.Need(c.DeadRetention > 0, "DeadRetention", "must be positive")
	return check.Err()
}

// srv begins a URL whose servers a name server tells.
const srv = "mongodb+srv://"

// readDatabase fills in the database from the URL.
func (c *Config) readDatabase() error {
	if c.URL == "" || c.Database != "" {
		return nil
	}
	u, err := serverurl.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("mongo: Config.URL: %w", err)
	}
	c.Database = cmp.Or(u.Path, "platform")
	return nil
}

// options are those of the client for URL. Writes are not retried by the driver,
// which only a replica set could bear: the protocol has its own way to find out
// what became of one.
func (c *Config) options() *options.ClientOptions {
	return options.Client().SetServerSelectionTimeout(c.Timeout).
		SetAppName("platform-documents").ApplyURI(c.URL).SetRetryWrites(false)
}
