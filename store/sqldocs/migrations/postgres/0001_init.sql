-- Ids, names and keys are compared as bytes (COLLATE "C"), as on every store.
-- Documents stay text: jsonb would change their numbers and the order of their
-- members, and its operators cannot use an index under row-level security.

-- Numbers of collections and indexes, per tenant; never used twice.
CREATE TABLE document_sequences (
    tenant TEXT   COLLATE "C" NOT NULL,
    last   BIGINT NOT NULL,
    PRIMARY KEY (tenant)
) WITH (fillfactor = 50);

-- revision is random and new with every change of the row, so that a parsed
-- definition may be kept by it.
CREATE TABLE document_collections (
    tenant     TEXT   COLLATE "C" NOT NULL,
    name       TEXT   COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL,
    revision   BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    definition BYTEA  NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- An index row leads to its document by the id: with a number of its own beside
-- that, a planner that believes a collection to be small reads all of it for
-- each one. No foreign key leads to the collection: it would cost a sixth of an
-- insert, and writers and definitions wait for each other as it is. The room in
-- the pages lets a changed document stay in its own.
CREATE TABLE documents (
    tenant     TEXT   COLLATE "C" NOT NULL,
    collection BIGINT NOT NULL,
    id         TEXT   COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    data       BYTEA  NOT NULL,
    PRIMARY KEY (tenant, collection, id)
) WITH (fillfactor = 90);

-- sort_key is made by store/document; its order as bytes is that of the values.
-- A query reads the index alone, as far as the table is vacuumed.
CREATE TABLE document_index (
    tenant   TEXT   COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,
    sort_key BYTEA  NOT NULL,
    id       TEXT   COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, number, sort_key, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

-- The same keys of unique indexes, without the id that tells equal ones apart.
CREATE TABLE document_unique (
    tenant   TEXT   COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,
    sort_key BYTEA  NOT NULL,
    id       TEXT   COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, number, sort_key)
);
