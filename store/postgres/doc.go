// Package postgres is the relational store on PostgreSQL 13 or newer, through
// bun and pgx.
//
// # Two walls between tenants
//
// Every statement names its tenant, as on every store. Here the database has a
// wall of its own behind that: each table with a column tenant has row-level
// security, enabled and forced, and what [DB.InTenant] does runs as a role for
// which only the rows exist whose tenant is the transaction's. A forgotten WHERE
// finds nothing; a row of another tenant cannot be written. [DB.Migrate] puts the
// wall up for each new table, and [DB.Start] and [DB.Migrate] refuse to go on where
// it has a hole: a role that is a superuser, may bypass row-level security or
// owns a table; a table that is not protected; a policy that is not ours; a
// view, which would read as its owner. The wall stops forgotten conditions. It
// does not stop SQL that an attacker writes, which can name any tenant.
//
// # Three roles
//
// The owner owns the tables, migrates, and does nothing else. The runtime role
// serves InTenant. The system role serves AcrossTenants; a policy of its own
// shows it all rows, so it needs no BYPASSRLS, which managed databases rarely
// grant. With one URL the connections of the two log in as the owner and take
// their role at the start of the session, and the roles are made where they are
// missing; for that the owner needs CREATEROLE. With three URLs, or three pools,
// each logs in by itself: a leaked password of the runtime role then opens no
// more than the runtime role can see.
//
// Roles belong to the server and not to a database: two owners who share a server
// need different [Config].RuntimeRole and SystemRole.
//
// All tables are in one schema, by default "platform", apart from the host's.
//
// # Transactions
//
// A writing transaction runs at READ COMMITTED, a [store.ReadOnly] one reads a
// snapshot (REPEATABLE READ READ ONLY). Opening one and naming its tenant is one
// round trip, the commit another. A function is run again, in a new
// transaction, where the database asks for it (deadlock, serialization) or where
// it met a race that its package marked; after ten times the error is a conflict.
// [DB.ReadRow] reads one row of a tenant in a single round trip.
//
// An error of the connection after COMMIT was sent leaves open whether the
// commit happened: it is KindUnavailable with the code "commit_unknown". Who
// calls again needs an effect that bears repetition, as with a lost answer of
// any server.
//
// # A host's own transaction
//
// [DB.Join] runs a function inside a transaction that the host has begun on the
// same database, with database/sql, bun or pgx. It costs three round trips beside
// what the function does, and one for the events that it emits.
//
// # Away
//
// Where the server does not answer, a transaction ends with its context, or
// after [Config].Timeout, with KindUnavailable. New connections are made as
// needed; nothing has to be restarted after the server.
//
// Statements with parameters are prepared once for each connection. A pool in
// front of the database must pass prepared statements on (PgBouncer 1.21 and
// newer in transaction mode does).
package postgres
