CREATE TABLE idempotency_keys (
    tenant     TEXT     COLLATE "C" NOT NULL,
    hash       BYTEA    NOT NULL,
    operation  TEXT     COLLATE "C" NOT NULL,
    request    BYTEA    NOT NULL,
    answer     BYTEA    NOT NULL,
    units      INTEGER  NOT NULL,
    created_at BIGINT   NOT NULL,
    PRIMARY KEY (tenant, hash)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

COMMENT ON TABLE idempotency_keys IS 'Calls of the last 24 hours that came with an Idempotency-Key';
COMMENT ON COLUMN idempotency_keys.hash IS 'SHA-256 of the principal, the operation and the key';
COMMENT ON COLUMN idempotency_keys.request IS 'HMAC of what was asked, under a key derived from the Idempotency-Key';
COMMENT ON COLUMN idempotency_keys.answer IS 'The first answer, sealed under a key derived from the Idempotency-Key';
COMMENT ON COLUMN idempotency_keys.units IS 'What the row counts of the limit idempotency_keys: 1 for each 4 KiB begun';
COMMENT ON COLUMN idempotency_keys.created_at IS 'Microseconds since 1970-01-01 UTC';
