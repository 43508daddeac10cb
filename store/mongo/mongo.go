package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

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

// Documents implements [store.Documents]. It is made by [New] and connected by
// [Documents.Start]; its methods may be called by many goroutines at once. Before
// the start they fail with an error of [platform.KindUnavailable] and the code
// "store_not_started".
type Documents struct {
	cfg Config
	log *slog.Logger

	lifecycle sync.Mutex  // held by Start and Stop
	started   atomic.Bool // client and the collections are there
	client    *mongo.Client

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

// New returns documents in a MongoDB. It connects to nothing and asks no name
// server before [Documents.Start]; of the URL it reads the files that it names.
func New(cfg Config) (*Documents, error) {
	if err := cfg.readDatabase(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Documents{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "documents")),
		fillPiece: fillPiece, emitted: background.NewSignal(), lanes: make(map[laneKey]*lane),
	}, nil
}

// connect makes the client, which connects in the background, and names the
// collections.
func (d *Documents) connect() error {
	if d.client = d.cfg.Client; d.client == nil {
		client, err := mongo.Connect(d.cfg.options())
		if err != nil {
			return connectFault(err)
		}
		d.client = client
	}
	d.bind()
	return nil
}

// disconnect ends the client unless it is the host's.
func (d *Documents) disconnect(ctx context.Context) error {
	if d.cfg.Client != nil || d.client == nil {
		return nil
	}
	if err := d.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return fmt.Errorf("mongo: disconnect: %w", err)
	}
	return nil
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

// Needs implements [platform.Dependent].
func (d *Documents) Needs() []any { return []any{d.cfg.Events} }

// Start connects, waits until the server answers, makes the few indexes that the
// background work needs, and begins that. A server that does not answer is an
// error of [platform.KindUnavailable]. The caller must call [Documents.Stop] then.
// A Start that fails leaves no connection open and may be repeated; where it has
// succeeded before it does nothing.
func (d *Documents) Start(ctx context.Context) error {
	d.lifecycle.Lock()
	defer d.lifecycle.Unlock()
	d.mu.Lock()
	stopped := d.stopped
	d.mu.Unlock()
	switch {
	case stopped:
		return errStopped
	case d.started.Load():
		return nil
	}
	err := d.connect()
	if err == nil {
		err = d.ping(ctx)
	}
	if err == nil {
		err = d.everyTenant.prepare(ctx)
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Timeout)
		defer cancel()
		return errors.Join(err, d.disconnect(ctx))
	}
	d.started.Store(true)
	d.background.Go(d.work) //nolint:contextcheck // it must not end with the context of the start
	return nil
}

// Stop ends the background work and waits for calls whose commit has begun.
// Events that are left wait for the next start, here or in another process. It
// may be called again, and on documents that were never started.
func (d *Documents) Stop(ctx context.Context) error {
	d.lifecycle.Lock()
	defer d.lifecycle.Unlock()
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	if !d.started.Load() {
		return nil
	}
	return errors.Join(background.Wait(ctx, &d.working), d.background.Stop(ctx), d.disconnect(ctx))
}

// enter is the beginning of every call for a tenant.
func (d *Documents) enter(tenant platform.TenantID) error {
	if !d.started.Load() {
		return errNotStarted
	}
	return tenant.Validate()
}

// Ping checks that the server answers.
func (d *Documents) Ping(ctx context.Context) error {
	if !d.started.Load() {
		return errNotStarted
	}
	return d.ping(ctx)
}

func (d *Documents) ping(ctx context.Context) error {
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
