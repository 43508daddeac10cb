-- The networks from which a person has signed in. They are in the store and not
-- in a cache: what others ask for must not push them out.
CREATE TABLE user_devices (
  user_id TEXT COLLATE "C" NOT NULL REFERENCES user_accounts (id),
  network TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, network)
);
CREATE INDEX user_devices_used ON user_devices (last_used_at);
