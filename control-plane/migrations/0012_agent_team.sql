-- The teams that agents are in by the register, and the feed that tells enforcers.

ALTER TABLE agent
    ADD COLUMN teams text[] NOT NULL DEFAULT '{}' CHECK (cardinality(teams) <= 32),
    ADD COLUMN named_by text,
    ADD COLUMN named_at timestamptz,
    ADD CHECK ((named_by IS NULL) = (named_at IS NULL));
COMMENT ON COLUMN agent.named_by IS 'SPIFFE ID of the operator who last named its owner and its teams; none: nobody did.';
COMMENT ON COLUMN agent.named_at IS 'When.';
COMMENT ON COLUMN agent.teams IS 'What rules see it in, beside what packs say: the names of teams, sorted.';

INSERT INTO revision (feed, value) VALUES ('agent', 0);
COMMENT ON COLUMN revision.feed IS 'policy (its value is the generation), fleet, task (its value is the revocation sequence), hold or agent (the teams of agents).';
