// Package queue runs durable jobs over any relational store.
//
// A job is enqueued in the transaction that makes it necessary, and so exists
// exactly if that commits. A worker of this process is told at the commit; other
// processes look now and then.
//
// # How often a job runs
//
// At least once. A process can end between a handler's effect and the record of
// it, so effects outside the store must bear repetition. An effect inside the
// store can be joined with the job's end in one transaction by [Finish], and
// then happens effectively once.
//
// A running job is leased to its process, which renews the lease for as long as
// the handler runs; there is no other limit than the kind's timeout. When a
// process dies, the lease ends and the job is ready again: the attempt counts,
// so a job that kills its process does not do so for ever. What a worker writes
// about a job after its lease was given to another one is refused.
//
// A failed job waits and runs again, [Options] says when and how often. After the
// last attempt, or [Discard], it is dead: kept with its cause, listed by
// [Queue.Dead], run again by [Queue.Retry].
//
// A job of a kind that no handler is registered for is left alone, however old it
// is: a process with a newer or an older program may know it. [Stats] counts it.
//
// # Who is next
//
// Each kind has workers of its own ([Options.Concurrency]), so that jobs of one
// kind that hang delay no other kind. Within a kind the tenants take turns, and a
// tenant, or those that have one share together ([Config.Limits]), has a part of
// the workers at most. Within a tenant the targets take turns, if jobs name one;
// Priority, then the due time, order the jobs of one target. There is no order
// between jobs that run at once: where order matters, use one job that enqueues
// the next.
//
// # Who waits
//
// A target whose jobs fail gets one job at a time, in all processes together,
// from [Queue.TargetFailed] to [Queue.TargetRecovered]; the jobs behind that one
// wait without a worker and use up no attempt. Such probes take half of a kind's
// workers at most. [Queue.OneAtATime] does the same in this process for a whole
// kind.
//
// The jobs of a suspended tenant wait until it is resumed ([Config.Suspensions]).
// Suspending it ends the contexts of its handlers, which puts their jobs back;
// what such a handler has done outside of the store may so be done twice.
//
// # Many processes
//
// On PostgreSQL any number of processes share the jobs: a worker passes over the
// jobs that another one is taking. A UniqueKey that names a job which no worker
// has yet keeps it from them until the transaction has committed, so that its
// handler sees what that has written; one that names a running job does not make
// it run again.
//
// # Order in a platform
//
// Put the queue after the modules whose handlers it runs: it then starts when
// they are ready and stops before they do. Enqueue works once Start has made the
// tables, also in an earlier run of the program.
//
// # Tenants
//
// The workers act for all tenants: they cross tenants with the token "queue.work"
// to claim jobs and to settle them, each statement by tenant and id. A handler gets the tenant with
// the job and opens transactions of that tenant. What a tenant's operator sees,
// Dead and Retry, goes through InTenant.
package queue
