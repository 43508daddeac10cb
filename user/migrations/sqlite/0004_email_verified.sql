-- When the user first proved that mail to the address reaches them; 0 is never.
ALTER TABLE user_accounts ADD COLUMN email_verified_at INTEGER NOT NULL DEFAULT 0;
