-- Secrets are sealed. A secret of an endpoint has an id in place of itself in the
-- key; one from before stands in the id, in the clear, until the work in the
-- background has sealed it. The columns title, body and html of a secret text are
-- those of a text from before, which ends within days.
ALTER TABLE notify_endpoint_secrets RENAME COLUMN secret TO id;
ALTER TABLE notify_endpoint_secrets ADD COLUMN sealed BLOB;
ALTER TABLE notify_secret_texts ADD COLUMN sealed BLOB;
