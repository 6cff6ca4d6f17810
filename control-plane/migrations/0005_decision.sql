-- The record: what every enforcer decided, exactly once in effect.

CREATE TABLE journal_cursor (
    enforcer text NOT NULL REFERENCES enforcer (name),
    instance_id uuid NOT NULL,
    incarnation bigint NOT NULL,
    next_sequence bigint NOT NULL CHECK (next_sequence >= 0),
    chain bytea NOT NULL CHECK (length(chain) = 32),
    forked_at timestamptz,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    advanced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (enforcer, instance_id, incarnation)
);
COMMENT ON TABLE journal_cursor IS 'How far each journal has come home. Rows are inserted only by a transaction that advanced the cursor by compare-and-set.';
COMMENT ON COLUMN journal_cursor.enforcer IS 'Whose journal.';
COMMENT ON COLUMN journal_cursor.instance_id IS 'From which directory.';
COMMENT ON COLUMN journal_cursor.incarnation IS 'Of which opening.';
COMMENT ON COLUMN journal_cursor.next_sequence IS 'Everything before it is stored.';
COMMENT ON COLUMN journal_cursor.chain IS 'The hash over everything before it.';
COMMENT ON COLUMN journal_cursor.forked_at IS 'When another history was presented for stored records: an alarm.';
COMMENT ON COLUMN journal_cursor.opened_at IS 'When it was first heard of.';
COMMENT ON COLUMN journal_cursor.advanced_at IS 'When it last moved.';

CREATE TABLE decision (
    received_day date NOT NULL,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id uuid NOT NULL,
    enforcer text NOT NULL,
    instance_id uuid NOT NULL,
    incarnation bigint NOT NULL,
    sequence bigint NOT NULL,
    chain_hash bytea NOT NULL,
    received_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    task_id uuid,
    agent text NOT NULL,
    tool text NOT NULL,
    verdict text NOT NULL,
    rules text[] NOT NULL,
    record bytea NOT NULL
) PARTITION BY RANGE (received_day);
CREATE INDEX decision_by_id ON decision (id);
CREATE INDEX decision_by_task ON decision (task_id, tx);
CREATE INDEX decision_by_tx ON decision (tx, id);
CREATE INDEX decision_by_journal ON decision (enforcer, instance_id, incarnation, sequence);
COMMENT ON TABLE decision IS 'One row a decision. No unique index: the cursor is what keeps a record from being stored twice.';
COMMENT ON COLUMN decision.received_day IS 'The partition; never a default one.';
COMMENT ON COLUMN decision.tx IS 'The transaction that stored it: reading below the oldest running one, in this order, skips nothing.';
COMMENT ON COLUMN decision.id IS 'The decision.';
COMMENT ON COLUMN decision.enforcer IS 'Who decided.';
COMMENT ON COLUMN decision.instance_id IS 'From which directory.';
COMMENT ON COLUMN decision.incarnation IS 'In which opening.';
COMMENT ON COLUMN decision.sequence IS 'At which place of that journal.';
COMMENT ON COLUMN decision.chain_hash IS 'The chain after this record.';
COMMENT ON COLUMN decision.received_at IS 'When it came.';
COMMENT ON COLUMN decision.decided_at IS 'When it was decided, by the enforcer''s clock.';
COMMENT ON COLUMN decision.task_id IS 'In which task; none if the grant could not be read.';
COMMENT ON COLUMN decision.agent IS 'For which agent.';
COMMENT ON COLUMN decision.tool IS 'On which tool.';
COMMENT ON COLUMN decision.verdict IS 'permit, hold or deny.';
COMMENT ON COLUMN decision.rules IS 'Which rules decided.';
COMMENT ON COLUMN decision.record IS 'The very bytes of the journal.';

CREATE TABLE outcome (
    received_day date NOT NULL,
    decision_id uuid NOT NULL,
    enforcer text NOT NULL,
    instance_id uuid NOT NULL,
    incarnation bigint NOT NULL,
    sequence bigint NOT NULL,
    chain_hash bytea NOT NULL,
    received_at timestamptz NOT NULL,
    record bytea NOT NULL
) PARTITION BY RANGE (received_day);
CREATE INDEX outcome_by_decision ON outcome (decision_id);
CREATE INDEX outcome_by_journal ON outcome (enforcer, instance_id, incarnation, sequence);
COMMENT ON TABLE outcome IS 'What happened after permits.';
COMMENT ON COLUMN outcome.received_day IS 'The partition.';
COMMENT ON COLUMN outcome.decision_id IS 'The decision that permitted it.';
COMMENT ON COLUMN outcome.enforcer IS 'Who reported.';
COMMENT ON COLUMN outcome.instance_id IS 'From which directory.';
COMMENT ON COLUMN outcome.incarnation IS 'In which opening.';
COMMENT ON COLUMN outcome.sequence IS 'At which place of that journal.';
COMMENT ON COLUMN outcome.chain_hash IS 'The chain after this record.';
COMMENT ON COLUMN outcome.received_at IS 'When it came.';
COMMENT ON COLUMN outcome.record IS 'The very bytes of the journal.';
