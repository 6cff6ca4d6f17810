-- The log that ends authority: not only whole tasks.

ALTER TABLE revocation
    ADD COLUMN kind text NOT NULL DEFAULT 'task' CHECK (kind IN ('task', 'before', 'grant', 'agent', 'key')),
    ADD COLUMN epoch bigint CHECK (epoch > 0),
    ADD COLUMN grant_id uuid,
    ADD COLUMN agent text,
    ADD COLUMN issued_until timestamptz,
    ADD COLUMN key_sha256 bytea CHECK (length(key_sha256) = 32),
    ADD COLUMN revoked_by text,
    ADD COLUMN reason text,
    ALTER COLUMN task_id DROP NOT NULL,
    ADD CONSTRAINT revocation_of_task CHECK ((kind IN ('task', 'before', 'grant')) = (task_id IS NOT NULL)),
    ADD CONSTRAINT revocation_before CHECK ((kind = 'before') = (epoch IS NOT NULL)),
    ADD CONSTRAINT revocation_of_grant CHECK ((kind = 'grant') = (grant_id IS NOT NULL)),
    ADD CONSTRAINT revocation_of_agent CHECK ((kind = 'agent') = (agent IS NOT NULL)
        AND (kind = 'agent') = (issued_until IS NOT NULL)),
    ADD CONSTRAINT revocation_of_key CHECK ((kind = 'key') = (key_sha256 IS NOT NULL)),
    ADD CONSTRAINT revocation_by CHECK ((kind IN ('grant', 'key')) = (revoked_by IS NOT NULL)
        AND (revoked_by IS NULL) = (reason IS NULL));
ALTER TABLE revocation ALTER COLUMN kind DROP DEFAULT;
CREATE INDEX revocation_by_task ON revocation (task_id) WHERE task_id IS NOT NULL;
CREATE UNIQUE INDEX revocation_by_grant ON revocation (grant_id, task_id) WHERE grant_id IS NOT NULL;
CREATE INDEX revocation_by_agent ON revocation (agent) WHERE agent IS NOT NULL;
CREATE INDEX revocation_by_key ON revocation (key_sha256) WHERE key_sha256 IS NOT NULL;
COMMENT ON COLUMN revocation.kind IS 'What stops, with all that was derived from it: a task, its grants before an epoch, one grant, those of an agent, or of the holder of a key.';
COMMENT ON COLUMN revocation.task_id IS 'Whose grants stop; none: it is not about one task.';
COMMENT ON COLUMN revocation.epoch IS 'The first epoch that holds.';
COMMENT ON COLUMN revocation.grant_id IS 'The one grant. It need not be known here: holders pass grants on by themselves.';
COMMENT ON COLUMN revocation.agent IS 'SPIFFE ID of whose grants stop.';
COMMENT ON COLUMN revocation.issued_until IS 'Grants of the agent that were issued later hold.';
COMMENT ON COLUMN revocation.key_sha256 IS 'Thumbprint (RFC 7638) of the holder''s key.';
COMMENT ON COLUMN revocation.expires_at IS 'When the last of the grants will have expired.';
COMMENT ON COLUMN revocation.cause IS 'ended, revoked, amended or removed.';
COMMENT ON COLUMN revocation.revoked_by IS 'SPIFFE ID of who revoked a grant or a key; of the others, their own rows say it.';
COMMENT ON COLUMN revocation.reason IS 'Why.';
