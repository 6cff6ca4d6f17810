-- Standing approvals: what people let happen again within a task, in the bounds they saw.

CREATE TABLE standing_approval (
    id uuid PRIMARY KEY,
    hold_id uuid NOT NULL UNIQUE REFERENCES hold (id),
    task_id uuid NOT NULL REFERENCES task (id),
    epoch bigint NOT NULL CHECK (epoch >= 0),
    at_most_names text[] NOT NULL,
    at_most text[] NOT NULL,
    any_value text[] NOT NULL,
    labels text[] NOT NULL,
    approvers text[] NOT NULL CHECK (cardinality(approvers) > 0),
    times integer NOT NULL CHECK (times BETWEEN 1 AND 100),
    used integer NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND times),
    given_at timestamptz NOT NULL,
    lasts_until timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text,
    ended_reason text,
    CONSTRAINT standing_numbers CHECK (cardinality(at_most_names) = cardinality(at_most)),
    CONSTRAINT standing_time CHECK (lasts_until <= given_at + interval '8 hours'),
    CONSTRAINT standing_ended CHECK ((ended_at IS NULL) = (ended_reason IS NULL) AND (ended_by IS NULL OR ended_at IS NOT NULL))
);
CREATE INDEX standing_of_task ON standing_approval (task_id) WHERE ended_at IS NULL;
CREATE INDEX standing_by_time ON standing_approval (given_at DESC, id DESC);
COMMENT ON TABLE standing_approval IS 'An approval of actions like the one of its hold. Agent, tool, definition, arguments and requirements are those of the hold. Changed under the lock of its task only. Never deleted.';
COMMENT ON COLUMN standing_approval.id IS 'Its id.';
COMMENT ON COLUMN standing_approval.hold_id IS 'The hold with whose approval it came into force.';
COMMENT ON COLUMN standing_approval.task_id IS 'Within which task.';
COMMENT ON COLUMN standing_approval.epoch IS 'Of the task when it was given: with a later one it lets nothing happen.';
COMMENT ON COLUMN standing_approval.at_most_names IS 'Arguments that may be any number from zero to a most.';
COMMENT ON COLUMN standing_approval.at_most IS 'That most of each, as it was written.';
COMMENT ON COLUMN standing_approval.any_value IS 'Arguments that may have any value. All others are exactly those of the hold.';
COMMENT ON COLUMN standing_approval.labels IS 'The labels that all approvers saw the task carry: with any other it lets nothing happen.';
COMMENT ON COLUMN standing_approval.approvers IS 'SPIFFE IDs of who gave it.';
COMMENT ON COLUMN standing_approval.times IS 'How often it may be used.';
COMMENT ON COLUMN standing_approval.used IS 'How often it was: each time approved one hold, whatever came of that.';
COMMENT ON COLUMN standing_approval.given_at IS 'When.';
COMMENT ON COLUMN standing_approval.lasts_until IS 'Until when.';
COMMENT ON COLUMN standing_approval.ended_at IS 'When it ended before its time.';
COMMENT ON COLUMN standing_approval.ended_by IS 'SPIFFE ID of who ended it; none: what it rests on changed.';
COMMENT ON COLUMN standing_approval.ended_reason IS 'Why.';

ALTER TABLE hold
    ADD COLUMN fixed text[] NOT NULL DEFAULT '{}',
    ADD COLUMN standing_id uuid REFERENCES standing_approval (id);
CREATE INDEX hold_by_standing ON hold (standing_id, opened_at DESC) WHERE standing_id IS NOT NULL;
COMMENT ON COLUMN hold.fixed IS 'The arguments that say what the tool acts on: a standing approval never lets them differ.';
COMMENT ON COLUMN hold.standing_id IS 'The standing approval that approved it; none: people answered, or will.';

ALTER TABLE hold_vote
    ADD COLUMN for_ms bigint CHECK (for_ms > 0),
    ADD COLUMN times integer CHECK (times > 0),
    ADD COLUMN at_most_names text[],
    ADD COLUMN at_most text[],
    ADD COLUMN any_value text[],
    ADD COLUMN labels text[],
    ADD COLUMN standing_id uuid REFERENCES standing_approval (id),
    ADD CONSTRAINT hold_vote_terms CHECK (
        num_nulls(for_ms, times, at_most_names, at_most, any_value, labels) IN (0, 6)
        AND (for_ms IS NULL OR (approve AND standing_id IS NULL))
        AND cardinality(at_most_names) = cardinality(at_most));
COMMENT ON COLUMN hold_vote.for_ms IS 'What else they let happen, for so long; none: nothing.';
COMMENT ON COLUMN hold_vote.times IS 'So often.';
COMMENT ON COLUMN hold_vote.at_most_names IS 'With these arguments from zero to a most.';
COMMENT ON COLUMN hold_vote.at_most IS 'That most of each.';
COMMENT ON COLUMN hold_vote.any_value IS 'With these arguments of any value.';
COMMENT ON COLUMN hold_vote.labels IS 'The labels that they saw the task carry.';
COMMENT ON COLUMN hold_vote.standing_id IS 'The standing approval by which their word counts here; none: they looked at this very action.';
