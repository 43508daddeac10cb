package platform

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// NewEvent returns an event that the principal causes in its tenant, now. Type is
// "noun.participle" or longer, such as "invoice.paid", and its first word is the
// source, "/invoice"; subject is what the event is about, such as "invoice/42":
// events of one tenant and subject keep their order. Data is written as JSON; nil
// is none.
//
// Actor and OnBehalfOf are those of [Principal.Attribution].
//
// It is ready for the method Emit of a store's transaction, which checks it and adds
// the trace of its context. The error is of data that JSON
// has no form for.
//
//	event, err := platform.NewEvent(p, "invoice.paid", "invoice/42", Paid{Amount: 1200})
func NewEvent(p Principal, eventType, subject string, data any) (Event, error) {
	now := time.Now()
	source, _, _ := strings.Cut(eventType, ".")
	e := Event{ID: newID("evt", now), Source: "/" + source, Type: eventType, Tenant: p.Tenant, Subject: subject, Time: now}
	e.Actor, e.OnBehalfOf = p.Attribution()
	if data == nil {
		return e, nil
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("platform: the data of the event %s: %w", eventType, err)
	}
	e.Data = raw
	return e, nil
}
