-- What people look for and count: found by an index, and counted when it is written.

CREATE INDEX decision_by_time ON decision (decided_at);
CREATE INDEX decision_by_tool ON decision (tool, decided_at);
CREATE INDEX decision_stopped ON decision (verdict, decided_at) WHERE verdict <> 'permit';
CREATE INDEX decision_by_rule ON decision USING gin (rules);

-- Hot rows, changed with every batch: room for the next version beside each keeps their index as it is.
CREATE TABLE rule_count (
    hour timestamptz NOT NULL,
    lane smallint NOT NULL,
    rule text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('permit', 'hold', 'deny')),
    decisions bigint NOT NULL CHECK (decisions > 0),
    PRIMARY KEY (hour, lane, rule, verdict)
) WITH (fillfactor = 50);
COMMENT ON TABLE rule_count IS 'How often each rule decided, counted as records are stored. Goes when the record of its time does.';
COMMENT ON COLUMN rule_count.hour IS 'The beginning of the hour, by the enforcer''s clock.';
COMMENT ON COLUMN rule_count.lane IS 'Journals count in rows apart, so that they seldom wait for each other: the sum over them counts.';
COMMENT ON COLUMN rule_count.rule IS 'The rule.';
COMMENT ON COLUMN rule_count.verdict IS 'What it decided: permit, hold or deny.';
COMMENT ON COLUMN rule_count.decisions IS 'How often.';

CREATE TABLE agent_count (
    day date NOT NULL,
    lane smallint NOT NULL,
    agent text NOT NULL,
    calls bigint NOT NULL CHECK (calls > 0),
    PRIMARY KEY (day, lane, agent)
) WITH (fillfactor = 50);
COMMENT ON TABLE agent_count IS 'How many calls of each agent were decided and never held: a held one is in the table hold.';
COMMENT ON COLUMN agent_count.day IS 'UTC, by the enforcer''s clock.';
COMMENT ON COLUMN agent_count.lane IS 'As in rule_count.';
COMMENT ON COLUMN agent_count.agent IS 'SPIFFE ID.';
COMMENT ON COLUMN agent_count.calls IS 'How many.';

ALTER TABLE hold ADD COLUMN answered_at timestamptz;
COMMENT ON COLUMN hold.answered_at IS 'When the last word that was needed was said, yes or no; none: nobody said it.';
UPDATE hold SET answered_at = (SELECT max(voted_at) FROM hold_vote WHERE hold_id = hold.id)
WHERE state NOT IN ('open', 'expired', 'cancelled');
CREATE INDEX hold_numbers ON hold (opened_at) INCLUDE (id, agent, state, answered_at, standing_id);
CREATE INDEX hold_requirement_group ON hold_requirement (hold_id) INCLUDE (group_name);
