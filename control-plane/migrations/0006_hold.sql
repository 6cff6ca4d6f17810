-- Actions that wait for people. This database is their only authority and their only clock.

CREATE TABLE hold (
    id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES task (id),
    call_id text NOT NULL,
    action_sha256 bytea NOT NULL CHECK (length(action_sha256) = 32),
    agent text NOT NULL,
    user_name text NOT NULL,
    tool text NOT NULL,
    definition_sha256 bytea NOT NULL CHECK (length(definition_sha256) = 32),
    arguments text NOT NULL,
    denial_class bytea NOT NULL CHECK (length(denial_class) = 32),
    enforcer text NOT NULL REFERENCES enforcer (name),
    decision_id uuid NOT NULL,
    generation bigint NOT NULL,
    environment text NOT NULL,
    intent text NOT NULL,
    reason text NOT NULL,
    opened_at timestamptz NOT NULL,
    decide_by timestamptz NOT NULL,
    use_within_ms bigint NOT NULL CHECK (use_within_ms > 0),
    use_by timestamptz,
    consumed_at timestamptz,
    consumed_instance uuid,
    consumed_incarnation bigint,
    denial_reason text,
    state text NOT NULL,
    version bigint NOT NULL,
    UNIQUE (task_id, call_id, action_sha256),
    CHECK (state IN ('open', 'approved', 'denied', 'expired', 'cancelled', 'lapsed', 'withdrawn', 'consumed', 'done', 'failed', 'unknown')),
    CHECK (state <> 'open' OR (use_by IS NULL AND consumed_at IS NULL)),
    CHECK (state NOT IN ('approved', 'lapsed', 'withdrawn', 'consumed', 'done', 'failed', 'unknown') OR use_by IS NOT NULL),
    CHECK ((state IN ('consumed', 'done', 'failed', 'unknown')) = (consumed_at IS NOT NULL)),
    CHECK ((consumed_at IS NULL) = (consumed_instance IS NULL) AND (consumed_at IS NULL) = (consumed_incarnation IS NULL))
);
CREATE INDEX hold_waiting ON hold (decide_by) WHERE state = 'open';
CREATE INDEX hold_unsettled ON hold (use_by) WHERE state IN ('approved', 'consumed');
CREATE INDEX hold_consumed ON hold (consumed_instance, consumed_incarnation) WHERE state = 'consumed';
CREATE INDEX hold_by_opening ON hold (opened_at DESC, id DESC);
CREATE INDEX hold_by_class ON hold (task_id, denial_class);
COMMENT ON TABLE hold IS 'One exact action. Never deleted.';
COMMENT ON COLUMN hold.id IS 'Its id.';
COMMENT ON COLUMN hold.task_id IS 'With call_id and action_sha256 the key by which the same call finds the same hold.';
COMMENT ON COLUMN hold.call_id IS 'The caller''s own name for the call.';
COMMENT ON COLUMN hold.action_sha256 IS 'What an approval is bound to.';
COMMENT ON COLUMN hold.agent IS 'Who wants to act.';
COMMENT ON COLUMN hold.user_name IS 'For whom.';
COMMENT ON COLUMN hold.tool IS 'With what.';
COMMENT ON COLUMN hold.definition_sha256 IS 'As it was defined.';
COMMENT ON COLUMN hold.arguments IS 'How: the very text that is hashed and shown.';
COMMENT ON COLUMN hold.denial_class IS 'Hash over the tool and its resource, which may be long: a denial is terminal for it in the task.';
COMMENT ON COLUMN hold.enforcer IS 'Who holds it.';
COMMENT ON COLUMN hold.decision_id IS 'The decision that opened it.';
COMMENT ON COLUMN hold.generation IS 'The generation of that decision.';
COMMENT ON COLUMN hold.environment IS 'Where the task runs.';
COMMENT ON COLUMN hold.intent IS 'What the user wants.';
COMMENT ON COLUMN hold.reason IS 'Why it was held.';
COMMENT ON COLUMN hold.opened_at IS 'When.';
COMMENT ON COLUMN hold.decide_by IS 'Until when people may answer: the earliest of its requirements.';
COMMENT ON COLUMN hold.use_within_ms IS 'How long an approval stays usable: the shortest of its requirements.';
COMMENT ON COLUMN hold.use_by IS 'Until when, once approved.';
COMMENT ON COLUMN hold.consumed_at IS 'When it was used.';
COMMENT ON COLUMN hold.consumed_instance IS 'From which directory of its enforcer.';
COMMENT ON COLUMN hold.consumed_incarnation IS 'By which opening of it: once a later one has brought the journal of this one home, no outcome will come.';
COMMENT ON COLUMN hold.denial_reason IS 'What a person said; of a hold cancelled because another of its class was denied, that.';
COMMENT ON COLUMN hold.state IS 'Where it stands.';
COMMENT ON COLUMN hold.version IS 'Counts changes.';

CREATE TABLE hold_requirement (
    hold_id uuid NOT NULL REFERENCES hold (id),
    rule text NOT NULL,
    group_name text NOT NULL,
    quorum integer NOT NULL CHECK (quorum > 0),
    decide_within_ms bigint NOT NULL,
    use_within_ms bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (hold_id, rule)
);
COMMENT ON TABLE hold_requirement IS 'What a hold waits for; all must be met.';
COMMENT ON COLUMN hold_requirement.hold_id IS 'Whose.';
COMMENT ON COLUMN hold_requirement.rule IS 'The rule that demands it.';
COMMENT ON COLUMN hold_requirement.group_name IS 'The people.';
COMMENT ON COLUMN hold_requirement.quorum IS 'How many of them.';
COMMENT ON COLUMN hold_requirement.decide_within_ms IS 'How long they may take.';
COMMENT ON COLUMN hold_requirement.use_within_ms IS 'How long their word is good.';
COMMENT ON COLUMN hold_requirement.reason IS 'What the rule says of itself.';

CREATE TABLE hold_vote (
    hold_id uuid NOT NULL REFERENCES hold (id),
    approver text NOT NULL,
    approve boolean NOT NULL,
    reason text NOT NULL,
    voted_at timestamptz NOT NULL,
    PRIMARY KEY (hold_id, approver)
);
COMMENT ON TABLE hold_vote IS 'What people said; one vote a person.';
COMMENT ON COLUMN hold_vote.hold_id IS 'On what.';
COMMENT ON COLUMN hold_vote.approver IS 'SPIFFE ID.';
COMMENT ON COLUMN hold_vote.approve IS 'Yes or no.';
COMMENT ON COLUMN hold_vote.reason IS 'Why.';
COMMENT ON COLUMN hold_vote.voted_at IS 'When.';

CREATE TABLE hold_event (
    revision bigint PRIMARY KEY,
    hold_id uuid NOT NULL REFERENCES hold (id),
    enforcer text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    reason text NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE hold_event IS 'Gap-free log of the newest steps, pushed to the enforcers that wait. Older ones are deleted: the holds say where they stand.';
COMMENT ON COLUMN hold_event.revision IS 'The revision of feed hold.';
COMMENT ON COLUMN hold_event.hold_id IS 'Which hold.';
COMMENT ON COLUMN hold_event.enforcer IS 'Who holds it.';
COMMENT ON COLUMN hold_event.state IS 'Where the step led.';
COMMENT ON COLUMN hold_event.version IS 'Of the hold after the step.';
COMMENT ON COLUMN hold_event.reason IS 'What the agent is told.';
COMMENT ON COLUMN hold_event.happened_at IS 'When.';
