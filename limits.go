package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits bound what one tenant may keep and do, so that one tenant costs the
// others neither room nor time. A zero field means the default, which
// [DefaultLimits] returns; a negative one means no limit. [LimitNames] lists
// the names under which settings, errors and reports show the fields.
type Limits struct {
	// Share groups tenants that use one share of whatever runs at once: the
	// rate of requests, scans, live streams and deliveries. Organizations that
	// one user created have it in common, so that more organizations are not
	// more work. Empty means that the tenant has a share of its own.
	Share string

	// Members bounds the members of a tenant and its open invitations
	// together: "members".
	Members int64
	// Organizations bounds how many organizations one user may create:
	// "organizations". It is read for the tenant that the user is signed in to, which
	// may be [NoTenant].
	Organizations int64

	// RequestsPerMinute bounds the requests of all principals of one share:
	// "requests".
	RequestsPerMinute int64
	// Streams bounds the live streams that one share has open in one process:
	// "streams".
	Streams int64

	// IdempotencyKeys bounds the idempotency keys of the last 24 hours whose
	// answers are kept: "idempotency_keys". An answer counts as one for each
	// 4 KiB that it begins. Keys are refused from about 9 tenths of the limit,
	// since they are counted in parts.
	IdempotencyKeys int64

	// Collections bounds the collections of documents: "data.collections".
	Collections int64
	// Records bounds the records of all collections: "data.records".
	Records int64
	// RecordBytes bounds the bytes of the data of all records:
	// "data.record_bytes".
	RecordBytes int64

	// Scans bounds the queries without a usable index, the exports and the
	// analytics questions that one share runs at once in one process: "scans".
	Scans int64

	// EventsPerDay bounds the analytics events taken in a UTC day:
	// "analytics.events".
	EventsPerDay int64

	// MessagesPerDay bounds what messages and rules write in a UTC day: each
	// entry of an inbox and each e-mail or webhook counts as one:
	// "notify.messages".
	MessagesPerDay int64
	// EmailsPerDay bounds the e-mails of a tenant in a UTC day:
	// "notify.emails".
	EmailsPerDay int64
	// EmailsPerSender bounds the e-mails that one principal of the tenant
	// causes in a UTC day: "notify.emails_per_sender".
	EmailsPerSender int64
	// EmailsPerRecipient bounds the e-mails of a tenant to one address in a
	// UTC day: "notify.emails_per_recipient".
	EmailsPerRecipient int64
	// FanOut bounds the inbox entries and deliveries that the rules of a
	// tenant make of one event: "notify.fan_out".
	FanOut int64
	// Rules, Templates and Endpoints bound what a tenant defines:
	// "notify.rules", "notify.templates", "notify.endpoints".
	Rules, Templates, Endpoints int64
	// Deliveries bounds the deliveries of one kind (e-mails, webhooks) that
	// one share has under way at once in one process: "notify.deliveries".
	Deliveries int64
}

// limitTable is the one place where limits have names and defaults.
var limitTable = []struct {
	name     string
	standard int64
	field    func(*Limits) *int64
}{
	{"members", 1_000, func(l *Limits) *int64 { return &l.Members }},
	{"organizations", 10, func(l *Limits) *int64 { return &l.Organizations }},
	{"requests", 120_000, func(l *Limits) *int64 { return &l.RequestsPerMinute }},
	{"streams", 500, func(l *Limits) *int64 { return &l.Streams }},
	{"idempotency_keys", 1_000_000, func(l *Limits) *int64 { return &l.IdempotencyKeys }},
	{"data.collections", 200, func(l *Limits) *int64 { return &l.Collections }},
	{"data.records", 5_000_000, func(l *Limits) *int64 { return &l.Records }},
	{"data.record_bytes", 5 << 30, func(l *Limits) *int64 { return &l.RecordBytes }},
	{"scans", 2, func(l *Limits) *int64 { return &l.Scans }},
	{"analytics.events", 5_000_000, func(l *Limits) *int64 { return &l.EventsPerDay }},
	{"notify.messages", 100_000, func(l *Limits) *int64 { return &l.MessagesPerDay }},
	{"notify.emails", 1_000, func(l *Limits) *int64 { return &l.EmailsPerDay }},
	{"notify.emails_per_sender", 200, func(l *Limits) *int64 { return &l.EmailsPerSender }},
	{"notify.emails_per_recipient", 20, func(l *Limits) *int64 { return &l.EmailsPerRecipient }},
	{"notify.fan_out", 1_000, func(l *Limits) *int64 { return &l.FanOut }},
	{"notify.rules", 50, func(l *Limits) *int64 { return &l.Rules }},
	{"notify.templates", 200, func(l *Limits) *int64 { return &l.Templates }},
	{"notify.endpoints", 20, func(l *Limits) *int64 { return &l.Endpoints }},
	{"notify.deliveries", 8, func(l *Limits) *int64 { return &l.Deliveries }},
}

// DefaultLimits returns the limits of a tenant for whom the host says nothing.
func DefaultLimits() Limits {
	var l Limits
	l.fillIn()
	return l
}

// fillIn gives the fields that are zero their defaults.
func (l *Limits) fillIn() {
	for _, e := range limitTable {
		if f := e.field(l); *f == 0 {
			*f = e.standard
		}
	}
}

// LimitNames returns the names of all limits, in alphabetical order.
func LimitNames() []string {
	names := make([]string, 0, len(limitTable))
	for _, e := range limitTable {
		names = append(names, e.name)
	}
	slices.Sort(names)
	return names
}

// Set changes the limit of that name: 0 is the default, a negative number is
// no limit. The error names the limits that there are.
func (l *Limits) Set(name string, value int64) error {
	for _, e := range limitTable {
		if e.name == name {
			*e.field(l) = value
			return nil
		}
	}
	return fmt.Errorf("platform: no limit is called %q; there are %s", name, strings.Join(LimitNames(), ", "))
}

// LimitsFunc returns the limits of a tenant: the host's plans. Nil gives every
// tenant the defaults. It is called for each call that is bounded, by many
// goroutines, so it answers from memory. It is called before the transaction of
// that call begins, never inside it: it may read a row of its own. Its error
// fails the call: nothing is unbounded by accident.
type LimitsFunc func(ctx context.Context, tenant TenantID) (Limits, error)

// Of returns the limits of a tenant with the defaults filled in. A Share that
// is empty becomes the tenant's id.
func (f LimitsFunc) Of(ctx context.Context, tenant TenantID) (Limits, error) {
	var l Limits
	if f != nil {
		var err error
		if l, err = f(ctx, tenant); err != nil {
			return Limits{}, fmt.Errorf("platform: the limits of the tenant: %w", err)
		}
	}
	if l.Share == "" {
		l.Share = string(tenant)
	}
	l.fillIn()
	return l, nil
}

// Usage is how much of one limit a tenant has used.
type Usage struct {
	// Name is the limit's, such as "data.records".
	Name string
	// Used is what counts against Limit.
	Used int64
	// Limit is the most that may be used; negative means no limit.
	Limit int64
	// Resets is when the use begins at 0 again; the zero time means that it
	// counts what is kept.
	Resets time.Time
}

// UsageReporter is a [Module] that counts what tenants use. A gateway shows it
// to the tenant.
type UsageReporter interface {
	// Usage returns what the tenant has used of the limits that the module
	// counts.
	Usage(ctx context.Context, tenant TenantID) ([]Usage, error)
}

// OverLimit returns the error of a call that would exceed a limit of its
// tenant. It is of [KindForbidden], because the same call is refused until
// something is removed or the plan changes.
func OverLimit(name string, limit int64) *Error {
	return Errorf(KindForbidden, "limit_exceeded",
		"the organization has reached its limit %s of %d; GET /v1/usage shows what is used", name, limit)
}

// OverRate returns the error of a call that would exceed a limit that begins
// again after the given time. It is of [KindLimited].
func OverRate(name string, limit int64, after time.Duration) *Error {
	e := Errorf(KindLimited, "rate_exceeded",
		"the organization has reached its limit %s of %d for now; GET /v1/usage shows what is used", name, limit)
	e.RetryAfter = after
	return e
}
