-- A code that is typed in place of a link belongs to who asked for it: flow_hash is
-- the SHA-256 of the secret of that answer, codes are the sealed hashes of the code
-- of each try to send it, tries counts the guesses.
ALTER TABLE user_mail_tokens ADD COLUMN flow_hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE user_mail_tokens ADD COLUMN codes BLOB NOT NULL DEFAULT x'';
ALTER TABLE user_mail_tokens ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
-- Where the page of the link sends the person, one of Links.Redirects, or ''.
ALTER TABLE user_mail_tokens ADD COLUMN redirect TEXT NOT NULL DEFAULT '';

-- Further addresses of a person, beside the primary one in user_accounts. A claim
-- that is not verified (0) keeps nobody from the address.
CREATE TABLE user_emails (
  user_id TEXT NOT NULL REFERENCES user_accounts (id),
  email TEXT NOT NULL,
  verified_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, email)
);
CREATE UNIQUE INDEX user_emails_owner ON user_emails (email) WHERE verified_at > 0;

-- The language of a person as a BCP 47 tag, '' is not known.
ALTER TABLE user_accounts ADD COLUMN locale TEXT NOT NULL DEFAULT '';
