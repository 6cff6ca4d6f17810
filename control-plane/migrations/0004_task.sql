-- Tasks, and the log that ends them.

CREATE TABLE task (
    id uuid PRIMARY KEY,
    grant_id uuid NOT NULL UNIQUE,
    user_name text NOT NULL,
    agent text NOT NULL,
    scope text NOT NULL,
    named text[] NOT NULL,
    intent text NOT NULL,
    environment text NOT NULL,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_by text,
    closed_reason text,
    state text NOT NULL CHECK (state IN ('live', 'ended', 'revoked')),
    CHECK ((state = 'live') = (closed_at IS NULL)),
    CHECK ((closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (closed_reason IS NULL))
);
CREATE INDEX task_by_start ON task (started_at DESC, id DESC);
COMMENT ON TABLE task IS 'The unit of authority. Live past expires_at means expired.';
COMMENT ON COLUMN task.id IS 'Its id.';
COMMENT ON COLUMN task.grant_id IS 'The token that carries it.';
COMMENT ON COLUMN task.user_name IS 'The human it is for.';
COMMENT ON COLUMN task.agent IS 'SPIFFE ID of the agent.';
COMMENT ON COLUMN task.scope IS 'Its tools and what their arguments must be, as JSON: text, because numbers keep their digits.';
COMMENT ON COLUMN task.named IS 'Values the user named.';
COMMENT ON COLUMN task.intent IS 'What the user wants.';
COMMENT ON COLUMN task.environment IS 'Where it runs.';
COMMENT ON COLUMN task.started_by IS 'SPIFFE ID; may not approve.';
COMMENT ON COLUMN task.started_at IS 'When.';
COMMENT ON COLUMN task.expires_at IS 'When it ends by itself.';
COMMENT ON COLUMN task.closed_at IS 'When it was ended.';
COMMENT ON COLUMN task.closed_by IS 'By whom.';
COMMENT ON COLUMN task.closed_reason IS 'Why.';
COMMENT ON COLUMN task.state IS 'Ended and revoked are terminal.';

CREATE TABLE revocation (
    sequence bigint PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES task (id),
    expires_at timestamptz NOT NULL,
    cause text NOT NULL
);
CREATE INDEX revocation_by_expiry ON revocation (expires_at);
COMMENT ON TABLE revocation IS 'Log of ended authority, pushed to every enforcer. Numbered without a gap; an entry is deleted an hour after the last of its grants has expired.';
COMMENT ON COLUMN revocation.sequence IS 'The revision of feed task.';
COMMENT ON COLUMN revocation.task_id IS 'Whose grants stop.';
COMMENT ON COLUMN revocation.expires_at IS 'When the grants would have expired.';
COMMENT ON COLUMN revocation.cause IS 'ended or revoked.';
