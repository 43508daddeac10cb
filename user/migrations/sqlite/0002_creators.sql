-- Who made an organization, and how many a person made, which is bounded.
ALTER TABLE user_organizations ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE user_accounts ADD COLUMN organizations_created INTEGER NOT NULL DEFAULT 0;

-- The API key that made an invitation, '' for a session: revoking the key
-- revokes what it offered.
ALTER TABLE user_invitations ADD COLUMN api_key TEXT NOT NULL DEFAULT '';
-- Few are open of the many that there were.
CREATE INDEX user_invitations_open ON user_invitations (tenant, invited_by) WHERE accepted_at = 0 AND revoked_at = 0;

-- What is older is told by the audit, or by who was the first owner.
UPDATE user_organizations SET created_by = coalesce(
  (SELECT a.actor FROM user_audit a WHERE a.tenant = user_organizations.tenant
    AND a.action IN ('organization.created', 'user.signed_up') AND a.actor <> '' ORDER BY a.sequence LIMIT 1),
  (SELECT m.user_id FROM user_memberships m WHERE m.tenant = user_organizations.tenant
    AND m.roles LIKE '%"owner"%' ORDER BY m.created_at, m.id LIMIT 1),
  '');
UPDATE user_accounts SET organizations_created = made.n
  FROM (SELECT created_by, count(*) AS n FROM user_organizations GROUP BY created_by) AS made
  WHERE made.created_by = user_accounts.id;
UPDATE user_invitations SET api_key = coalesce(
  (SELECT a.credential FROM user_audit a WHERE a.tenant = user_invitations.tenant
    AND a.action = 'invitation.created' AND a.target = user_invitations.id AND a.actor_kind = 'api_key' LIMIT 1),
  '')
  WHERE accepted_at = 0 AND revoked_at = 0;
