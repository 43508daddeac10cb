-- The names of the roles that a role inherits, as a JSON list.
ALTER TABLE user_roles ADD COLUMN parents TEXT COLLATE "C" NOT NULL DEFAULT '[]';

CREATE TABLE user_teams (
  tenant TEXT COLLATE "C" NOT NULL REFERENCES user_organizations (tenant),
  id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  description TEXT NOT NULL,
  roles TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX user_teams_name ON user_teams (tenant, name);

-- Who joins an organization again has another membership, and is in no team.
CREATE TABLE user_team_members (
  tenant TEXT COLLATE "C" NOT NULL,
  team_id TEXT COLLATE "C" NOT NULL,
  member_id TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, team_id, member_id),
  FOREIGN KEY (tenant, team_id) REFERENCES user_teams (tenant, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant, member_id) REFERENCES user_memberships (tenant, id) ON DELETE CASCADE
);
CREATE INDEX user_team_members_member ON user_team_members (tenant, member_id);

-- What is allowed or denied to a role ("r:" and its name) or a team ("t:" and
-- its id), beyond what roles list; for all resources where resource_type is ''.
CREATE TABLE user_access_rules (
  tenant TEXT COLLATE "C" NOT NULL REFERENCES user_organizations (tenant),
  id TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  permission TEXT COLLATE "C" NOT NULL,
  effect TEXT COLLATE "C" NOT NULL,
  resource_type TEXT COLLATE "C" NOT NULL,
  resource_id TEXT COLLATE "C" NOT NULL,
  description TEXT NOT NULL,
  created_by TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
