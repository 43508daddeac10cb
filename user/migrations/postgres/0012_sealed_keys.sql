-- The private part of a signing key is sealed, as a JWK of any algorithm. seed is
-- that of an Ed25519 key from before, until the work in the background has sealed
-- it, and empty then; created_by is the operator who asked for the key, or ''.
ALTER TABLE user_signing_keys ADD COLUMN private_key BYTEA;
ALTER TABLE user_signing_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
