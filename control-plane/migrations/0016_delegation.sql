-- Grants that are passed on from agent to agent, and proofs of whose they are.

ALTER TABLE task ADD COLUMN holder_key bytea CHECK (octet_length(holder_key) = 32);
COMMENT ON COLUMN task.holder_key IS 'The Ed25519 public key of whoever holds its grant; none: it can''t be passed on offline.';

ALTER TABLE hold ADD COLUMN delegated_by text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN hold.delegated_by IS 'SPIFFE IDs of the agents that passed the grant on, root first.';

CREATE TABLE task_grant (
    task_id uuid NOT NULL REFERENCES task (id),
    grant_id uuid NOT NULL,
    parent_sha256 bytea NOT NULL CHECK (octet_length(parent_sha256) = 32),
    calls_used bigint NOT NULL CHECK (calls_used > 0),
    PRIMARY KEY (task_id, grant_id, parent_sha256)
);
COMMENT ON TABLE task_grant IS 'What grants that were passed on with a budget of their own have used of it.';
COMMENT ON COLUMN task_grant.task_id IS 'Of which task.';
COMMENT ON COLUMN task_grant.grant_id IS 'Which; how many calls it may make stands in the grant.';
COMMENT ON COLUMN task_grant.parent_sha256 IS 'What it hangs on: whoever passes a grant on chooses its id, and shall not use up the budget of another''s.';
COMMENT ON COLUMN task_grant.calls_used IS 'How many it was charged.';

CREATE TABLE proof_use (
    proof_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    use_id uuid NOT NULL,
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (proof_id, grant_id)
);
CREATE INDEX proof_use_by_time ON proof_use (used_at);
COMMENT ON TABLE proof_use IS 'Proofs of possession that a release used up, until nobody believes them any more.';
COMMENT ON COLUMN proof_use.proof_id IS 'Which.';
COMMENT ON COLUMN proof_use.grant_id IS 'Of which grant.';
COMMENT ON COLUMN proof_use.use_id IS 'The enforcer''s own name for the release, or the id of the hold that was consumed.';
COMMENT ON COLUMN proof_use.used_at IS 'When.';

CREATE TABLE delegation (
    grant_id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES task (id),
    parent_grant_id uuid NOT NULL,
    delegated_by text NOT NULL,
    agent text NOT NULL,
    delegated_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    parent_sha256 bytea NOT NULL CHECK (octet_length(parent_sha256) = 32),
    calls_max bigint,
    spend_meters text[] NOT NULL DEFAULT '{}',
    spend_max bigint[] NOT NULL DEFAULT '{}',
    CHECK (cardinality(spend_meters) = cardinality(spend_max))
);
CREATE INDEX delegation_by_task ON delegation (task_id, delegated_at);
COMMENT ON TABLE delegation IS 'Grants that the control plane passed on for agents; what an agent passes on by itself is not known here. Written once.';
COMMENT ON COLUMN delegation.grant_id IS 'The grant that was given.';
COMMENT ON COLUMN delegation.task_id IS 'Of which task.';
COMMENT ON COLUMN delegation.parent_grant_id IS 'The grant it was narrowed from.';
COMMENT ON COLUMN delegation.delegated_by IS 'SPIFFE ID of the agent that passed it on.';
COMMENT ON COLUMN delegation.agent IS 'SPIFFE ID of the agent that may use it.';
COMMENT ON COLUMN delegation.delegated_at IS 'When.';
COMMENT ON COLUMN delegation.expires_at IS 'Until when it holds.';
COMMENT ON COLUMN delegation.parent_sha256 IS 'What it hangs on, as in `task_grant`.';
COMMENT ON COLUMN delegation.calls_max IS 'How many calls it may make; none: as many as those above it.';
COMMENT ON COLUMN delegation.spend_meters IS 'The meters that it bounds, each once.';
COMMENT ON COLUMN delegation.spend_max IS 'How much of each of them may be used up under it; money in ten-thousandths.';
