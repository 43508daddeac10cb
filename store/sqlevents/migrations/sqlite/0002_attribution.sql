-- For whom the actor acted, and the trace that the event belongs to (the header
-- "traceparent" of W3C Trace Context); empty is none.
ALTER TABLE event_log ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';
ALTER TABLE event_log ADD COLUMN trace_parent TEXT NOT NULL DEFAULT '';
