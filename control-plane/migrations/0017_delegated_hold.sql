-- Grants that are passed on from agent to agent.

ALTER TABLE hold ADD COLUMN delegated_by text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN hold.delegated_by IS 'SPIFFE IDs of the agents that passed the grant on, root first.';
