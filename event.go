package platform

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is something that happened in a tenant, in the attributes of
// CloudEvents 1.0 (https://github.com/cloudevents/spec) with the tenant as the
// extension attribute "tenantid".
type Event struct {
	// ID is unique for ever; a consumer recognizes a redelivery by it.
	ID string
	// Source is the service that speaks: "/user", "/data".
	Source string
	// Type is "service.noun.participle": "data.record.created".
	Type string
	// Tenant is whose event it is.
	Tenant TenantID
	// Subject is what it is about: the id of a record or a user. Events of
	// one tenant and subject are delivered in the order they were committed.
	Subject string
	// Time is when it happened.
	Time time.Time
	// Actor is the id of who caused it, or "": the subject of the principal, or
	// of its actor where somebody acted for that subject (see
	// [Principal.Attribution]).
	Actor string
	// OnBehalfOf is the subject that Actor acted for, or "" where Actor acted
	// for itself. It is the extension attribute "onbehalfof".
	OnBehalfOf string
	// TraceParent is the trace that the event belongs to, as the header
	// "traceparent" of W3C Trace Context, or "". A store fills it from the
	// context of [TraceParentFrom] where it is empty. It is the extension
	// attribute "traceparent" (CloudEvents distributed tracing).
	TraceParent string
	// Data is a JSON value; its shape belongs to Type.
	Data json.RawMessage
}

// Validate reports what an event lacks, as an [*Error] of [KindInvalid].
func (e Event) Validate() error {
	var fields []Field
	for _, f := range []struct{ name, value string }{
		{"id", e.ID}, {"source", e.Source}, {"type", e.Type}, {"subject", e.Subject},
	} {
		if f.value == "" {
			fields = append(fields, Field{Path: "/" + f.name, Code: "required", Detail: "an event needs " + f.name})
		}
	}
	if e.Time.IsZero() {
		fields = append(fields, Field{Path: "/time", Code: "required", Detail: "an event needs time"})
	}
	for _, f := range []struct{ name, value string }{
		{"id", e.ID},
		{"source", e.Source},
		{"type", e.Type},
		{"subject", e.Subject},
		{"actor", e.Actor},
		{"onbehalfof", e.OnBehalfOf},
	} {
		if !utf8.ValidString(f.value) || strings.ContainsRune(f.value, 0) {
			fields = append(fields, Field{Path: "/" + f.name, Code: "format", Detail: f.name + " must be UTF-8 without U+0000"})
		}
	}
	if e.TraceParent != "" && !ValidTraceParent(e.TraceParent) {
		fields = append(fields, Field{Path: "/traceparent", Code: "format", Detail: "traceparent must be one of W3C Trace Context"})
	}
	if len(e.Data) > 0 && (!json.Valid(e.Data) || !utf8.Valid(e.Data)) {
		fields = append(fields, Field{Path: "/data", Code: "format", Detail: "data must be JSON in UTF-8"})
	}
	if fields != nil {
		return Invalid(fields...)
	}
	return e.Tenant.Validate()
}
