-- The second format of the audit: hashes cover salted commitments of what may be
-- personal. salts has 32 bytes for each part (actor, target, client, detail): its
-- salt, or its commitment once it is erased; it is empty in records of the first
-- format. erased has a bit for each part, in that order.
ALTER TABLE user_audit ADD COLUMN salts BLOB NOT NULL DEFAULT x'';
ALTER TABLE user_audit ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;

-- Searches are in the order of the time.
DROP INDEX user_audit_action;
DROP INDEX user_audit_actor;
CREATE INDEX user_audit_time ON user_audit (tenant, time, sequence);
CREATE INDEX user_audit_actor ON user_audit (tenant, actor, time, sequence);
CREATE INDEX user_audit_target ON user_audit (tenant, target, time, sequence);
CREATE INDEX user_audit_action ON user_audit (tenant, action, time, sequence);
CREATE INDEX user_audit_outcome ON user_audit (tenant, outcome, time, sequence) WHERE outcome <> 'ok';

-- The last record that the retention has removed, and for how many days the
-- organization keeps records; 0 leaves that to the host.
ALTER TABLE user_audit_heads ADD COLUMN floor_sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user_audit_heads ADD COLUMN floor_hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE user_audit_heads ADD COLUMN keep_days INTEGER NOT NULL DEFAULT 0;

-- Which records name a person, in whatever organization: what the person sees of
-- the audits, and what an erasure blanks. The organization is '-' for the
-- installation's own audit.
CREATE TABLE user_audit_people (
  person TEXT NOT NULL,
  time INTEGER NOT NULL,
  organization TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (person, time, organization, sequence)
);
CREATE INDEX user_audit_people_organization ON user_audit_people (organization, sequence);

-- The erasures that were asked for and are not finished.
CREATE TABLE user_audit_erasures (
  person TEXT NOT NULL PRIMARY KEY,
  requested_at INTEGER NOT NULL
);

INSERT INTO user_audit_people (person, time, organization, sequence)
  SELECT person, time, tenant, sequence FROM (
    SELECT actor AS person, time, tenant, sequence FROM user_audit
    UNION SELECT target, time, tenant, sequence FROM user_audit
    UNION SELECT json_extract(detail, '$.user'), time, tenant, sequence FROM user_audit
    UNION SELECT json_extract(detail, '$.on_behalf_of'), time, tenant, sequence FROM user_audit
  ) AS named WHERE person LIKE 'usr\_%' ESCAPE '\';
