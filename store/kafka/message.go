package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/acme/platform"
)

// message is a record as Kafka has it, on its way in or out.
type message struct {
	key, value []byte
	headers    []protocol.Header
}

// The headers of an event, as the Kafka binding of CloudEvents 1.0 has them in
// binary content mode: attributes with the prefix "ce_"
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md).
const (
	headerVersion = "ce_specversion"
	headerID      = "ce_id"
	headerSource  = "ce_source"
	headerType    = "ce_type"
	headerSubject = "ce_subject"
	headerTime    = "ce_time"
	headerTenant  = "ce_tenantid"
	headerActor   = "ce_actor"
	headerBehalf  = "ce_onbehalfof"
	headerTrace   = "ce_traceparent"
	headerContent = "content-type"
)

// headerGroup is the group that a replayed event is for; the others have had it.
const headerGroup = "platform_group"

// optionalHeaders is the number of the first header of encode that an event may
// lack.
const optionalHeaders = 7

// encode returns the message of a valid event, whose data it shares.
func encode(ev *platform.Event) message {
	fields := [...]struct{ name, value string }{
		{headerVersion, "1.0"},
		{headerID, ev.ID},
		{headerSource, ev.Source},
		{headerType, ev.Type},
		{headerSubject, ev.Subject},
		{headerTime, ev.Time.UTC().Format(time.RFC3339Nano)},
		{headerTenant, string(ev.Tenant)},
		{headerActor, ev.Actor},
		{headerBehalf, ev.OnBehalfOf},
		{headerTrace, ev.TraceParent},
	}
	size := len(ev.Tenant) + 1 + len(ev.Subject)
	for i := range fields {
		size += len(fields[i].value)
	}
	arena := make([]byte, 0, size)
	// cut returns what was appended since the last cut.
	cut := func() []byte {
		part := arena[:len(arena):len(arena)]
		arena = arena[len(arena):]
		return part
	}
	m := message{headers: make([]protocol.Header, 0, len(fields)+1)}
	for i := range fields {
		if i >= optionalHeaders && fields[i].value == "" {
			continue
		}
		arena = append(arena, fields[i].value...)
		m.headers = append(m.headers, protocol.Header{Key: fields[i].name, Value: cut()})
	}
	arena = append(arena, ev.Tenant...)
	arena = append(arena, '/')
	arena = append(arena, ev.Subject...)
	m.key = cut()
	if len(ev.Data) > 0 {
		m.value = ev.Data
		m.headers = append(m.headers, protocol.Header{Key: headerContent, Value: contentJSON})
	}
	return m
}

var contentJSON = []byte("application/json")

// decode returns the event of a message, and the group that it is for where it
// is not for all. The data is the message's own memory.
func decode(m message) (ev platform.Event, group string, err error) {
	version := ""
	for _, h := range m.headers {
		value := string(h.Value)
		switch h.Key {
		case headerVersion:
			version = value
		case headerID:
			ev.ID = value
		case headerSource:
			ev.Source = value
		case headerType:
			ev.Type = value
		case headerSubject:
			ev.Subject = value
		case headerTime:
			if ev.Time, err = time.Parse(time.RFC3339Nano, value); err != nil {
				return platform.Event{}, "", fmt.Errorf("header %s: %w", headerTime, err)
			}
			ev.Time = ev.Time.UTC()
		case headerTenant:
			ev.Tenant = platform.TenantID(value)
		case headerActor:
			ev.Actor = value
		case headerBehalf:
			ev.OnBehalfOf = value
		case headerTrace:
			ev.TraceParent = value
		case headerGroup:
			group = value
		}
	}
	if version != "1.0" {
		return platform.Event{}, "", errors.New("not an event: no header " + headerVersion + " of 1.0")
	}
	if len(m.value) > 0 {
		ev.Data = json.RawMessage(m.value)
	}
	if err := ev.Validate(); err != nil {
		return platform.Event{}, "", err
	}
	return ev, group, nil
}

// size is the most bytes that the message takes in a batch.
func (m message) size() int {
	const lengths = 40 // its own, and those of key and value, times and offsets as variable integers
	n := lengths + len(m.key) + len(m.value)
	for _, h := range m.headers {
		n += 10 + len(h.Key) + len(h.Value)
	}
	return n
}

// batchOverhead is the bytes of a batch without its records.
const batchOverhead = 61
