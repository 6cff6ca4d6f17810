-- Identities that were removed: a certificate can't be taken back, so whoever it names is refused.

CREATE TABLE removed_identity (
    spiffe_id text PRIMARY KEY,
    removed_by text NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL,
    tasks_revoked bigint NOT NULL CHECK (tasks_revoked >= 0)
);
COMMENT ON TABLE removed_identity IS 'Refused by every verb, for ever: a name is not used again, because what was certified for it may still be out there.';
COMMENT ON COLUMN removed_identity.spiffe_id IS 'Who.';
COMMENT ON COLUMN removed_identity.removed_by IS 'SPIFFE ID of the operator.';
COMMENT ON COLUMN removed_identity.removed_at IS 'When.';
COMMENT ON COLUMN removed_identity.reason IS 'Why.';
COMMENT ON COLUMN removed_identity.tasks_revoked IS 'Live tasks of the agent that were revoked with it.';
CREATE INDEX task_live_by_agent ON task (agent, id) WHERE state = 'live';
