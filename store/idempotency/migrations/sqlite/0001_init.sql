-- Calls of the last 24 hours that came with an Idempotency-Key. hash is the
-- SHA-256 of the principal, the operation and the key; request is an HMAC of what
-- was asked and answer the sealed first answer, both under keys derived from the
-- Idempotency-Key. units is what the row counts of the limit idempotency_keys, 1
-- for each 4 KiB begun. created_at is in microseconds since 1970-01-01 UTC.
CREATE TABLE idempotency_keys (
    tenant     TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    operation  TEXT    NOT NULL,
    request    BLOB    NOT NULL,
    answer     BLOB    NOT NULL,
    units      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
