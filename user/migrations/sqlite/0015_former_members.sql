-- Who was a member once: what an organization holds of a person must be found when
-- the person is erased, and the membership is gone by then.
CREATE TABLE user_former_members (
  tenant TEXT NOT NULL,
  user_id TEXT NOT NULL,
  left_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, user_id)
);
-- For the erasure only, which knows a person and none of their organizations.
CREATE INDEX user_former_members_user ON user_former_members (user_id);
