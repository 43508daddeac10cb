package data

import (
	"strconv"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// The types of a record's events.
const (
	recordCreated = "data.record.created"
	recordUpdated = "data.record.updated"
	recordDeleted = "data.record.deleted"
)

// recordSubject is the subject of all events about a record, so that they have
// one order. Neither part holds a slash.
func recordSubject(collection, id string) string { return collection + "/" + id }

// appendRecordEvent appends the data of a record's event. An import is named in
// the events of its records, so that whoever acts on single changes can leave
// out those of a file.
func appendRecordEvent(dst []byte, collection string, r *Record, importID string) []byte {
	dst = appendString(append(dst, `{"collection":`...), collection)
	dst = appendString(append(dst, `,"id":`...), r.ID)
	dst = strconv.AppendInt(append(dst, `,"version":`...), r.Version, 10)
	if importID != "" {
		dst = appendString(append(dst, `,"import":`...), importID)
	}
	return append(dst, '}')
}

// events makes the events of a batch, one for each record, in its order.
func (im *importer) events(applied []store.Document) []platform.Event {
	out := make([]platform.Event, len(applied))
	size := 0
	for i := range applied {
		size += 96 + len(im.collection) + len(applied[i].ID) + len(im.result.ID)
	}
	data := make([]byte, 0, size) // all of them share it
	for i := range applied {
		r := &applied[i]
		typ := recordUpdated
		if r.Version == 1 {
			typ = recordCreated
		}
		start := len(data)
		data = appendRecordEvent(data, im.collection, r, im.result.ID)
		out[i] = im.service.event(im.principal, typ, recordSubject(im.collection, r.ID), data[start:len(data):len(data)])
	}
	return out
}
