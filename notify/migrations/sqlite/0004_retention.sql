-- What is removed with a message is found by it.
CREATE INDEX notify_inbox_by_message ON notify_inbox (tenant, message_id);
