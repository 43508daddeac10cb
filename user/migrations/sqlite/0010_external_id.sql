-- The id that an imported person had in another system; '' is none.
ALTER TABLE user_accounts ADD COLUMN external_id TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX user_accounts_external_id ON user_accounts (external_id) WHERE external_id <> '';
