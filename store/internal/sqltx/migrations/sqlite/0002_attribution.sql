-- For whom the actor acted, and the trace that the event belongs to (the header
-- "traceparent" of W3C Trace Context); empty is none.
ALTER TABLE outbox ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN trace_parent TEXT NOT NULL DEFAULT '';
