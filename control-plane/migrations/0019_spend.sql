-- Budgets of money, rows, bytes, tokens and calls of models: what is used up, what is held, and what nobody knows.

ALTER TABLE task
    ADD COLUMN spend_meters text[] NOT NULL DEFAULT '{}',
    ADD COLUMN spend_max bigint[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT task_spend CHECK (cardinality(spend_meters) = cardinality(spend_max));
COMMENT ON COLUMN task.spend_meters IS 'The meters that are bounded, each once.';
COMMENT ON COLUMN task.spend_max IS 'How much of each of them may be used up in the whole fleet; money in ten-thousandths.';

ALTER TABLE task_use
    ADD COLUMN enforcer text,
    ADD COLUMN returned_at timestamptz;
COMMENT ON COLUMN task_use.enforcer IS 'The enforcer that asked for it, which alone may give it back.';
COMMENT ON COLUMN task_use.returned_at IS 'When it was given back, because it did not go ahead: it is not counted any more.';

CREATE TABLE budget_use (
    key text NOT NULL,
    window_start bigint NOT NULL,
    spent bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    unknown bigint NOT NULL DEFAULT 0 CHECK (unknown >= 0),
    PRIMARY KEY (key, window_start)
);
COMMENT ON TABLE budget_use IS 'What became of each budget. Whoever changes one has locked it, and locks several in the order of their keys.';
COMMENT ON COLUMN budget_use.key IS 'Whose budget of which meter.';
COMMENT ON COLUMN budget_use.window_start IS 'When its window began, Unix milliseconds; 0: it has no windows.';
COMMENT ON COLUMN budget_use.spent IS 'Used up by calls that have ended.';
COMMENT ON COLUMN budget_use.reserved IS 'Held for calls under way.';
COMMENT ON COLUMN budget_use.unknown IS 'Held for calls whose end nobody knows.';

CREATE TABLE reservation (
    task_id uuid NOT NULL REFERENCES task (id),
    use_id uuid NOT NULL,
    key text NOT NULL,
    window_start bigint NOT NULL,
    meter text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    actual bigint CHECK (actual >= 0),
    state text NOT NULL DEFAULT 'reserved' CHECK (state IN ('reserved', 'settled', 'returned', 'unknown')),
    tool text NOT NULL,
    enforcer text NOT NULL,
    instance_id uuid NOT NULL,
    incarnation bigint NOT NULL,
    reserved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    was_unknown boolean NOT NULL DEFAULT false,
    settled_by text,
    reason text NOT NULL DEFAULT '',
    PRIMARY KEY (task_id, use_id, key, window_start)
);
CREATE INDEX reservation_by_use ON reservation (use_id);
CREATE INDEX reservation_open ON reservation (enforcer, instance_id, incarnation) WHERE state = 'reserved';
CREATE INDEX reservation_unknown ON reservation (task_id, reserved_at) WHERE state = 'unknown';
COMMENT ON TABLE reservation IS 'What was held in each budget for each release, and what became of it.';
COMMENT ON COLUMN reservation.task_id IS 'In which task.';
COMMENT ON COLUMN reservation.use_id IS 'The enforcer''s own name for the release, or the id of the hold that was consumed.';
COMMENT ON COLUMN reservation.key IS 'In which budget.';
COMMENT ON COLUMN reservation.window_start IS 'In which window of it.';
COMMENT ON COLUMN reservation.meter IS 'Of which meter.';
COMMENT ON COLUMN reservation.amount IS 'How much was held.';
COMMENT ON COLUMN reservation.actual IS 'How much was used up, once that is known.';
COMMENT ON COLUMN reservation.state IS 'Reserved: under way. Settled: used up. Returned: not used. Unknown: nobody knows, and it stays held.';
COMMENT ON COLUMN reservation.tool IS 'The tool that is called; empty if the enforcer did not say.';
COMMENT ON COLUMN reservation.enforcer IS 'The enforcer that releases it.';
COMMENT ON COLUMN reservation.instance_id IS 'From which directory.';
COMMENT ON COLUMN reservation.incarnation IS 'Of which opening; the journal of that says how the call ended.';
COMMENT ON COLUMN reservation.reserved_at IS 'When.';
COMMENT ON COLUMN reservation.closed_at IS 'When it stopped being under way; if a person settled it, when they did.';
COMMENT ON COLUMN reservation.was_unknown IS 'Whether nobody knew its end at some time.';
COMMENT ON COLUMN reservation.settled_by IS 'SPIFFE ID of the person who said what became of it; none: the journal did.';
COMMENT ON COLUMN reservation.reason IS 'Why, if a person did.';

CREATE TABLE budget_wait (
    place bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    use_id uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (key, place)
);
CREATE INDEX budget_wait_by_use ON budget_wait (use_id);
COMMENT ON TABLE budget_wait IS 'Releases that wait, in order, for what calls under way may give back.';
COMMENT ON COLUMN budget_wait.place IS 'In which order.';
COMMENT ON COLUMN budget_wait.key IS 'For which budget.';
COMMENT ON COLUMN budget_wait.use_id IS 'Which release.';
COMMENT ON COLUMN budget_wait.since IS 'Since when; one that has waited longer than anybody does is gone.';
