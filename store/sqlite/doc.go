// Package sqlite is the relational store that needs nothing installed: one
// file, through the pure-Go modernc.org/sqlite.
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL: a transaction is acknowledged
// after its commit was forced to the disk, so it survives the crash of the
// process and the loss of power. [Synchronous] trades the second away.
//
// # One writer, many readers
//
// SQLite has one writer at a time. Writers queue in the order of their calls,
// and those that wait while the disk works share the next commit: each runs in
// a savepoint of its own, in its caller's goroutine, one after the other, and
// is acknowledged when the shared transaction is durable. One of them failing
// leaves the others as they are; the commit failing fails them all. Grouping
// never waits for company, so a lone writer pays nothing for it.
//
// Readers ([store.ReadOnly]) have connections of their own and a snapshot;
// they wait for no writer and no writer waits for them, except for an instant
// where the write-ahead log has become large. Their number is bounded
// ([Readers]). A query is interrupted when its context ends. A transaction that
// reads for minutes keeps the log from being emptied for as long.
//
// A statement of a writer is not interrupted when its context ends, since that
// would undo what others did; the next one is refused. A constraint that is
// looked at by the commit alone (DEFERRABLE INITIALLY DEFERRED) fails all who
// share it, so tables should have none. What was given to AfterCommit and
// OnEmit runs before the next writer goes on, and must not begin a writing
// transaction itself.
//
// # A full disk
//
// A part of the disk is kept in reserve ([Reserve]). Where no more than that is
// left, only transactions with [store.Reserved] write: signing in and out, taking
// rights away, and deleting. All others are refused with "store_full", a kind of
// [platform.KindUnavailable] that says when to try again, and [DB.Check] tells.
// Pages that deleting has freed in the file count as room.
//
// # What must be there
//
// Beside the file lie its write-ahead log (file-wal) while it is open or after a
// crash, and a small file (file.state) that says what must be there. [DB.Start]
// refuses a database of which a part was removed, emptied or replaced since,
// with [ErrLost], rather than beginning a new one. The four belong together: a
// backup by copying is one of the whole folder, while it is not open.
//
// # One process
//
// A file is open in one process, once; a lock beside it (file.lock) enforces
// that and ends with the process. The file must be on a local disk.
package sqlite
