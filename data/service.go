package data

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Config configures a [Service]. Only Documents must be set.
type Config struct {
	// Documents keeps the collections and their records.
	Documents store.Documents
	// Access decides what a principal may do. Nil is [Permissions] of nobody:
	// requests that a gateway authorised are served, calls from Go work with
	// [platform.System], and all others are refused. Give it
	// Permissions(users) where Go code calls with the principals of users.
	Access Access
	// Logger takes faults of ours that a caller is not told; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now]. It dates events; the times of
	// records are the store's.
	Now func() time.Time
	// NewID makes ids of records and events; nil is [platform.NewID].
	NewID func(prefix string) string
	// AnswerMemory bounds the data of large answers that are under way in this
	// process, in bytes, at least 4 MiB; zero is 64 MiB. A share of tenants,
	// see [platform.Limits], has a quarter of it. Who finds no room waits for
	// 5 s and is then refused with KindLimited "answers_busy"; answers of less
	// than 64 KiB never wait.
	AnswerMemory int64
	// MaxRecord is how large the data of one record may be, in bytes without
	// white space, from 1 KiB to 8 MiB; zero is 1 MiB.
	MaxRecord int
	// Import bounds each import.
	Import ImportLimits
	// Limits returns the limits of a tenant; nil is the defaults. Limits.Scans
	// bounds its queries without a fitting index, and its exports; Collections,
	// Records and RecordBytes what it keeps. The last two need a Documents that
	// is a [store.Sizer], as all of this module are. They are exact within one
	// process; what other processes write is counted once a minute, or later
	// where counting takes more than a second, and so much may be over.
	Limits platform.LimitsFunc
	// Scans bounds the queries of all tenants that read much. The services of
	// a process are given one and the same; nil is one of the service's own.
	Scans *store.Scans
}

// Service is the document API. It is made by [New]; its methods are safe for
// concurrent use. In the background it counts what tenants keep that write, from
// their first write to Stop.
type Service struct {
	docs      store.Documents
	access    Access
	log       *slog.Logger
	now       func() time.Time
	newID     func(prefix string) string
	maxRecord int
	// importLimits are those of one import.
	importLimits ImportLimits
	limits       platform.LimitsFunc
	scans        *store.Scans
	quotas       *quotas
	// relational and repeats are set where documents and rows commit together.
	relational store.RelationalDocuments
	repeats    *idempotency.Keys
	started    atomic.Bool // the table of repeats is there
	answers    *answers
	loads      loads
	schemas    schemas
	api        *rest.API
	buffers    sync.Pool // of *[]byte, for bodies and answers
}

var (
	_ platform.Router    = (*Service)(nil)
	_ platform.Describer = (*Service)(nil)
	_ platform.Starter   = (*Service)(nil)
	_ platform.Stopper   = (*Service)(nil)
)

// New returns a service over cfg.Documents. The error names every field of cfg
// that is wrong.
func New(cfg Config) (*Service, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Access == nil {
		cfg.Access = Permissions(nil)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = platform.NewID
	}
	if cfg.MaxRecord == 0 {
		cfg.MaxRecord = 1 << 20
	}
	if cfg.AnswerMemory == 0 {
		cfg.AnswerMemory = 64 << 20
	}
	cfg.Import = cfg.Import.withDefaults()
	check := setting.For("data")
	check.Need(cfg.Documents != nil, "Documents", "must be set")
	check.Need(cfg.MaxRecord >= 1<<10 && cfg.MaxRecord <= 8<<20, "MaxRecord", "must be from 1 KiB to 8 MiB")
	check.Need(cfg.Import.valid(), "Import", "must not hold negative limits")
	check.Need(cfg.AnswerMemory >= 4<<20, "AnswerMemory", "must be at least 4 MiB")
	if err := check.Err(); err != nil {
		return nil, err
	}
	schemas, err := newSchemas()
	if err != nil {
		return nil, err
	}
	scans, err := newScans(cfg.Scans)
	if err != nil {
		return nil, err
	}
	quotas, err := newQuotas(cfg.Documents, cfg.Limits, cfg.Logger, cfg.Now)
	if err != nil {
		return nil, err
	}
	s := &Service{
		quotas: quotas,
		docs:   cfg.Documents, access: cfg.Access, log: cfg.Logger, now: cfg.Now, newID: cfg.NewID, maxRecord: cfg.MaxRecord,
		importLimits: cfg.Import, limits: cfg.Limits, scans: scans, answers: newAnswers(cfg.AnswerMemory), loads: newLoads(cfg.MaxRecord, cfg.AnswerMemory),
		schemas: schemas, api: rest.New("data", cfg.Logger),
	}
	if docs, ok := cfg.Documents.(store.RelationalDocuments); ok {
		s.relational = docs
		s.repeats, err = idempotency.New(idempotency.Config{DB: docs.Relational(), Limits: cfg.Limits, Logger: cfg.Logger, Now: cfg.Now})
		if err != nil {
			return nil, err
		}
	}
	s.routeCollections()
	s.api.Describe("Collections and records: JSON documents with schemas, indexes and a language of filters")
	s.routeRecords()
	s.routeBulk()
	return s, nil
}

// Stop ends what runs in the background.
func (s *Service) Stop(ctx context.Context) error {
	err := s.quotas.stop(ctx)
	if s.repeats != nil {
		err = errors.Join(err, s.repeats.Stop(ctx))
	}
	return err
}

// Start makes the table of idempotency keys, where the documents are kept in a
// store that can have it.
func (s *Service) Start(ctx context.Context) error {
	if s.repeats == nil {
		return nil
	}
	if err := s.repeats.Start(ctx); err != nil {
		return err
	}
	s.started.Store(true)
	return nil
}

// Name implements [platform.Module].
func (*Service) Name() string { return "data" }

// Needs implements [platform.Dependent].
func (s *Service) Needs() []any { return []any{s.docs} }

// Routes implements [platform.Router].
func (s *Service) Routes() []platform.Route { return s.api.Routes() }

// OpenAPI implements [platform.Describer].
func (s *Service) OpenAPI() ([]byte, error) { return s.api.OpenAPI() }

var (
	collectionPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)
	// An id stands in paths of URLs as it is: RFC 3986's unreserved
	// characters and ':'. "." and ".." would be taken for steps.
	recordPattern = regexp.MustCompile(`^[A-Za-z0-9._~:-]{1,128}$`)
)

// validRecordID reports whether id can name a record. Some words name what is
// done with all records instead: GET …/records/export is no record.
func validRecordID(id string) bool {
	switch id {
	case ".", "..", "count", "export", "import", "query":
		return false
	}
	return recordPattern.MatchString(id)
}

// event makes an event of a principal's doing.
func (s *Service) event(p platform.Principal, typ, subject string, data []byte) platform.Event {
	actor, onBehalfOf := p.Attribution()
	return platform.Event{
		ID: s.newID("evt"), Source: "/data", Type: typ, Tenant: p.Tenant, Subject: subject,
		Time: s.now().UTC(), Actor: actor, OnBehalfOf: onBehalfOf, Data: data,
	}
}

// attempts is how often a change that lost against another one is made again
// where the caller did not say which version it means: about half a second.
const attempts = 30

// retryStale calls f until it does something else than find a newer version.
// Between two calls it waits, since a store that commits several changes at
// once shows none of them before all are durable.
func retryStale(ctx context.Context, f func() error) error {
	for i := range attempts {
		if err := f(); !errors.Is(err, platform.ErrStale) {
			return err
		}
		pause := time.Millisecond << min(i, 4)
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // it spreads callers, nothing more
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return platform.Errorf(platform.KindConflict, "contended", "others change this at the same time; try again")
}
