package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// Documents implements [store.Documents]. It is made by [New]; its methods may
// be called by many goroutines at once, between [Documents.Start] and
// [Documents.Stop].
type Documents struct {
	cfg    Config
	log    *slog.Logger
	client *mongo.Client
	owned  bool // client is ours to end

	heads, schemas     table
	documents          table
	entries, claims    table
	parts, outbox      table
	dropped, sequences table
	everyTenant        acrossTenants

	fillPiece  int
	cache      cache
	emitted    background.Signal // the outbox has something new
	background background.Group

	mu      sync.Mutex
	lanes   map[laneKey]*lane
	stopped bool
	working sync.WaitGroup // of lanes
}

var (
	_ store.Documents  = (*Documents)(nil)
	_ platform.Starter = (*Documents)(nil)
	_ platform.Stopper = (*Documents)(nil)
	_ platform.Checker = (*Documents)(nil)
)

// New returns documents in a MongoDB. It does not wait for the server.
func New(cfg Config) (*Documents, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d := &Documents{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "documents")), client: cfg.Client,
		fillPiece: fillPiece, emitted: background.NewSignal(), lanes: make(map[laneKey]*lane),
	}
	if d.client == nil {
		// Writes are not retried by the driver, which only a replica set could
		// bear: the protocol has its own way to find out what became of one.
		client, err := mongo.Connect(options.Client().SetServerSelectionTimeout(cfg.Timeout).
			SetAppName("platform-documents").ApplyURI(cfg.URL).SetRetryWrites(false))
		if err != nil {
			return nil, fmt.Errorf("mongo: %w", err)
		}
		d.client, d.owned = client, true
	}
	d.bind()
	return d, nil
}

// bind names the collections. An acknowledged write is on disk, and where there
// is a replica set on most members; reads see what the primary has.
func (d *Documents) bind() {
	durable := true
	db := d.client.Database(d.cfg.Database, options.Database().
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &durable}).
		SetReadConcern(readconcern.Local()).SetReadPreference(readpref.Primary()))
	of := func(name string) table { return table{db.Collection(name), d.cfg.Timeout} }
	d.heads, d.schemas = of("collections"), of("schemas")
	d.documents = of("documents")
	d.entries, d.claims = of("entries"), of("claims")
	d.parts, d.outbox = of("commits"), of("outbox")
	d.dropped = of("dropped")
	// An order that is lost with a primary is lost with all that came after
	// it, the commit that used it among them; so it need not be durable.
	d.sequences = table{db.Collection("sequences", options.Collection().SetWriteConcern(writeconcern.W1())), d.cfg.Timeout}
	d.everyTenant = acrossTenants{
		heads: d.heads, documents: d.documents, parts: d.parts, outbox: d.outbox, dropped: d.dropped,
		leases: of("leases"), dead: of("outbox_dead"),
	}
}

// Name implements [platform.Module].
func (*Documents) Name() string { return "documents" }

// Start waits until the server answers, makes the few indexes that the
// background work needs, and begins that. It must be called once.
func (d *Documents) Start(ctx context.Context) error {
	if err := d.Ping(ctx); err != nil {
		return err
	}
	if err := d.everyTenant.prepare(ctx); err != nil {
		return err
	}
	d.background.Go(d.work) //nolint:contextcheck // it must not end with the context of the start
	return nil
}

// Stop ends the background work and waits for calls whose commit has begun.
// Events that are left wait for the next start, here or in another process. It
// may be called again.
func (d *Documents) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	err := errors.Join(background.Wait(ctx, &d.working), d.background.Stop(ctx))
	if d.owned {
		if end := d.client.Disconnect(ctx); end != nil && !errors.Is(end, mongo.ErrClientDisconnected) {
			err = errors.Join(err, fmt.Errorf("mongo: disconnect: %w", end))
		}
	}
	return err
}

// Ping checks that the server answers.
func (d *Documents) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	return fault("ping", d.client.Database(d.cfg.Database).RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err())
}

// Check implements [platform.Checker].
func (d *Documents) Check(ctx context.Context) error { return d.Ping(ctx) }

// micros is the time that is stored.
func (d *Documents) micros() int64 { return d.cfg.Now().UnixMicro() }

// newName returns a name that nothing else has: 80 random bits.
func newName() string { return rand.Text()[:16] }
