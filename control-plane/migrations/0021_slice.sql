-- Slices: parts of budgets that enforcers hold, so that calls which cost something need not be confirmed one by one.

CREATE TABLE slice (
    id uuid PRIMARY KEY,
    task_id uuid NOT NULL,
    enforcer text NOT NULL,
    instance_id uuid NOT NULL,
    incarnation bigint NOT NULL,
    calls bigint NOT NULL DEFAULT 0 CHECK (calls >= 0),
    calls_left bigint NOT NULL DEFAULT 0 CHECK (calls_left >= 0 AND calls_left <= calls),
    counts_calls boolean NOT NULL DEFAULT false,
    grant_ids uuid[] NOT NULL DEFAULT '{}',
    grant_parents bytea[] NOT NULL DEFAULT '{}',
    meters text[] NOT NULL DEFAULT '{}',
    amounts bigint[] NOT NULL DEFAULT '{}',
    lasts_until timestamptz,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    CONSTRAINT slice_grants CHECK (cardinality(grant_ids) = cardinality(grant_parents)),
    CONSTRAINT slice_amounts CHECK (cardinality(meters) = cardinality(amounts))
);
CREATE INDEX slice_open ON slice (enforcer, instance_id, incarnation) WHERE closed_at IS NULL;
CREATE INDEX slice_of_task ON slice (task_id) WHERE closed_at IS NULL;
CREATE INDEX slice_closed ON slice (closed_at) WHERE closed_at IS NOT NULL;
COMMENT ON TABLE slice IS 'Parts of budgets that enforcers hold. What of one is held in each budget are reservations under its id.';
COMMENT ON COLUMN slice.id IS 'The enforcer''s own name for it.';
COMMENT ON COLUMN slice.task_id IS 'For calls in which task; one that was closed before it was made may name any.';
COMMENT ON COLUMN slice.enforcer IS 'Who holds it.';
COMMENT ON COLUMN slice.instance_id IS 'From which directory.';
COMMENT ON COLUMN slice.incarnation IS 'Of which opening: the journal of that says what was drawn.';
COMMENT ON COLUMN slice.calls IS 'For so many calls.';
COMMENT ON COLUMN slice.calls_left IS 'So many of them have not come home.';
COMMENT ON COLUMN slice.counts_calls IS 'Whether the calls were charged to the task, which counts them.';
COMMENT ON COLUMN slice.grant_ids IS 'The grants that were passed on to which the calls were charged as well.';
COMMENT ON COLUMN slice.grant_parents IS 'The hash of the grant above each.';
COMMENT ON COLUMN slice.meters IS 'What of it was held, when it was made.';
COMMENT ON COLUMN slice.amounts IS 'How much; money in ten-thousandths.';
COMMENT ON COLUMN slice.lasts_until IS 'Nothing may be drawn from it later.';
COMMENT ON COLUMN slice.opened_at IS 'When it was made.';
COMMENT ON COLUMN slice.closed_at IS 'When its end came home, or no word of it could come any more. One that was closed before it was made is never made.';

ALTER TABLE outcome ADD COLUMN kind text NOT NULL DEFAULT 'outcome' CHECK (kind IN ('outcome', 'slice'));
COMMENT ON COLUMN outcome.kind IS 'Outcome: of a decision. Slice: the end of a slice, whose id stands in place of the decision''s.';
COMMENT ON COLUMN outcome.decision_id IS 'The decision that permitted it, or the slice that ended.';
