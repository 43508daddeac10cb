// Package mongo keeps store.Documents in MongoDB, 7.0 or later, and publishes
// the events of their changes. A standalone server is enough: nothing here needs
// a transaction of the server or a change stream.
//
// # What is where
//
// A record is a row with its JSON as it was given, since BSON would change it:
// decimals, names with dots, numbers beyond 64 bits. An index is rows too, named
// by tenant, index, key and id, whose keys package document makes; they are
// spelled in letters, since MongoDB orders binary values by their length. The
// _id of such rows serves filters, orders and cursors. A dozen MongoDB
// collections and three small indexes hold all tenants, however many there are.
//
// The tenant stands first in the _id of every row, and rows are reached by their
// _id or a range of them, which only a scope makes, of one tenant. What the relay
// and the sweeper read across tenants is in a type of its own.
//
// # A commit is one change of one row
//
// MongoDB changes one row atomically, so a commit is one such change: each
// collection has a row, its head, which counts commits (seq). An Apply, a change
// of the definition, a piece of an index that is built and a drop each
//
//  1. read the head at some seq, with everything carried out that led to it,
//  2. read the documents and unique keys they need,
//  3. work out all they will write: the redo,
//  4. replace the head, where its seq is still the one read, by one with the
//     next seq and the redo in it: the commit,
//  5. carry the redo out, and 6. take it out of the head.
//
// A redo too large for the head is written into rows of its own before the
// commit, and the head names them.
//
// That is right, whoever stops wherever, for these reasons.
//
// All or nothing. Before 4 nothing is written that anybody believes. After 4 all
// of it is decided; who meets a head with a redo (every reader and writer looks
// at the head first) carries it out, or reads it in place of the rows. So do the
// process itself, others that come by, and the sweeper if nobody comes by.
//
// As if one after the other. Rows change only by the redo of a commit, and the
// next commit needs the redo of the one before carried out. What was read in 2
// is therefore the state at the seq of 1 as long as the head has that seq, and
// 4 sees to it that it had. Unique keys need no lock for that reason.
//
// Carried out twice, or late, changes nothing. Of several processes that carry
// out a redo one may be slow, and a command may arrive long after its client has
// gone, when later commits have changed the same rows. Each write of a redo
// therefore names what it expects. A document is replaced or removed where it
// has a token that is random and new with every change, so it never comes again.
// A new document would have none to name: a shell, a row with a token and no
// record, is made before the commit by the call itself, never by others, and the
// redo only fills it; a shell that comes late has a token that no redo names.
// Entries and claims of unique keys carry the seq of the commit that wrote
// them: an addition raises it, a removal leaves what is newer. The redo leaves
// the head where the head still names that commit.
//
// A lost answer. A commit has a random name, and the head keeps the last
// sixteen. Who does not hear of its commit looks for the name, and where the
// head is still the old one replaces it with the next seq and no redo: after
// that the lost command cannot succeed, and the call begins anew. Only where the
// server stays away, or sixteen other commits have been made, is the outcome
// unknown, and the error KindUnavailable.
//
// Entries that nobody believes. An addition that comes late may leave an entry
// or a claim of an earlier state. Each is believed only if its document has the
// key, which every reader checks; one that is missing would be a fault, and
// cannot be, since a redo adds what its documents need and only later commits
// remove it.
//
// # Events
//
// The events of a commit are in its redo and go to the outbox when it is carried
// out: there is never one without the other. Their order number comes from a
// counter of the tenant, taken after the head was read and before the commit. A
// commit that follows another one in its collection, or began after that one's
// call had returned, has a greater number. One relay of all processes, chosen by
// a lease, publishes rows in this order, at least once, and removes them. It
// looks twice: the rows of a commit are there before the next can be made, so
// the second look has all that comes before anything in the first one.
//
// # Reads
//
// Find and Count look at the head before and after. Where it is the same they
// have read one state. After three tries, under constant changes, they take what
// they have read: each document as some commit left it, and none twice, but one
// that moved in the order meanwhile may be missed, as with a cursor of MongoDB.
//
// # Cost
//
// A change of one document takes three round trips until it is acknowledged:
// read the document, replace the head, replace the document; the head is known
// from the change before. An insert takes one more, and so do unique keys that
// are new, and an indexed value that changes. Events cost none, their number and
// row go beside the others. Calls for one collection that come together in one
// process share one commit; calls from several processes try again where they
// meet. Nothing makes them take turns: on a server at its limit one may lose many
// times in a row, and in the end be told so. One collection takes some hundred
// commits a second, each of up to 512 changes, and collections do not wait for
// each other.
//
// A count without a filter is one read; another one reads the documents in the
// bounds of the filter, because entries alone are not believed.
//
// # Replica sets
//
// Writes wait for the journal, and on a replica set for a majority, and reads go
// to the primary. With a set, what is acknowledged survives the loss of a server
// and the others go on in seconds; a standalone server that is lost takes the
// data with it, and one that restarts is away for that time. A primary that is
// cut off may answer a read with a state that is a few seconds old; it can
// commit nothing. A change read on a primary that then loses it cannot be
// followed by a commit on the next one: the head, written later than the rows it
// stands for, would be lost too. Nothing else is different: there is one
// protocol, not two.
//
// # What is left over
//
// The process that relays also sweeps. It carries out what commits left, and
// removes shells and large commits of calls that died, indexes whose build has
// stopped, and the rows of what was dropped. Each removal that a slow call could
// mind is a commit, so that the call begins anew. No clock decides what is
// right.
package mongo
