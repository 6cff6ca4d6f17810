-- The register of agents, and what tells when each was seen and what it asked for.

CREATE TABLE agent (
    spiffe_id text PRIMARY KEY,
    owner text NOT NULL DEFAULT '',
    registered_by text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE agent IS 'Agents that were added, certified or joined. One that only has tasks or an enforcer is listed too, and has no row.';
COMMENT ON COLUMN agent.spiffe_id IS 'Its identity.';
COMMENT ON COLUMN agent.owner IS 'The person or team that answers for it; empty: nobody was named.';
COMMENT ON COLUMN agent.registered_by IS 'SPIFFE ID of the operator; its own if it joined by an invitation.';
COMMENT ON COLUMN agent.registered_at IS 'When.';
CREATE INDEX enforcer_by_agent ON enforcer USING gin (agents);
CREATE INDEX task_by_agent ON task (agent, started_at DESC);
CREATE INDEX decision_by_agent ON decision (agent, decided_at);
CREATE INDEX decision_by_agent_tool ON decision (agent, tool COLLATE "C");
