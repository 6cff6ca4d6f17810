-- The teams that agents are in by the register, and the feed that tells enforcers.

ALTER TABLE agent
    ADD COLUMN teams text[] NOT NULL DEFAULT '{}' CHECK (cardinality(teams) <= 32);
COMMENT ON COLUMN agent.teams IS 'What rules see it in, beside what packs say: the names of teams, sorted.';

INSERT INTO revision (feed, value) VALUES ('agent', 0);
COMMENT ON COLUMN revision.feed IS 'policy (its value is the generation), fleet, task (its value is the revocation sequence), hold or agent (the teams of agents).';
