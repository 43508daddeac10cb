-- Numbers of collections and indexes, per tenant; never used twice.
CREATE TABLE document_sequences (
    tenant TEXT    NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (tenant)
) WITHOUT ROWID;

-- revision is random and new with every change of the row, so that a parsed
-- definition may be kept by it.
CREATE TABLE document_collections (
    tenant     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    definition BLOB    NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

-- Rows are too wide for WITHOUT ROWID: its inner pages hold whole rows. seq
-- leads from an index row to its document in one step; every statement names
-- the tenant beside it. It is declared, since VACUUM renumbers what is not.
CREATE TABLE documents (
    seq        INTEGER PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    collection INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    data       BLOB    NOT NULL,
    UNIQUE (tenant, collection, id)
);

-- sort_key is made by store/document; its order as bytes is that of the values.
CREATE TABLE document_index (
    tenant   TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    sort_key BLOB    NOT NULL,
    id       TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (tenant, number, sort_key, id)
) WITHOUT ROWID;

-- The same keys of unique indexes, without the id that tells equal ones apart.
CREATE TABLE document_unique (
    tenant   TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    sort_key BLOB    NOT NULL,
    id       TEXT    NOT NULL,
    PRIMARY KEY (tenant, number, sort_key)
) WITHOUT ROWID;
