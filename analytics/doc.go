// Package analytics takes a tenant's events and counts them: over time by
// hour, day, week or month in any time zone, by the values of a property, and
// by unique users.
//
// # Ingest
//
// [Service.Ingest] takes up to [MaxEvents] events, refuses the bad ones one by
// one, and returns once the good ones are committed. It is idempotent by the
// event's id: a client that stamps an id before its first try may send the
// same events again as often as it likes, and they count once. An event
// without an id gets one here, so sending it again counts it again.
//
// The id alone decides, in one tenant: an event whose id is known is a
// duplicate even where its other fields differ, and the first one stays. (A
// store that splits the table by time can only hold id and time together
// unique; SQLite, the store of this package for now, holds the id.)
//
// Calls that arrive while a transaction of the same tenant is being written
// share the next one. A call that finds nothing in progress starts at once, so
// nobody waits for a timer.
//
// No event of package platform is emitted for an analytics event: there would
// be as many in the outbox as in the table, each a second write, and what
// reacts to single facts listens to the services in which they happen.
//
// # Questions
//
// [Service.Series], [Service.Uniques] and [Service.Breakdown] read the events
// themselves, on a snapshot, in one pass and in the order of their time. The
// answers are exact. What a question may cost is bounded: Config.MaxRows
// events read, Config.MaxGroups values held; a question beyond that is refused
// and says so, it is never answered in part.
//
// Time zones are those of the tz database that Go finds on the machine. A
// program that must not depend on the machine imports time/tzdata.
package analytics
