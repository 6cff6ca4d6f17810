-- What a task has done: the tools it used, and the kinds of data that were released in it.

ALTER TABLE task ADD COLUMN ledger_revision bigint NOT NULL DEFAULT 0 CHECK (ledger_revision >= 0);
COMMENT ON COLUMN task.ledger_revision IS 'Counts the changes of its ledger. Calls that are only recorded raise it only with a tool or a class that is new.';

ALTER TABLE task_use
    ADD COLUMN tool text CHECK (octet_length(tool) <= 256),
    ADD COLUMN tool_used_at timestamptz;
COMMENT ON TABLE task_use IS 'The releases that were charged to a budget or counted in a ledger, each once however often it is asked for.';
COMMENT ON COLUMN task_use.task_id IS 'Whose.';
COMMENT ON COLUMN task_use.tool IS 'The tool it was counted for in the ledger; none: it was not counted there.';
COMMENT ON COLUMN task_use.tool_used_at IS 'When the task had last used that tool before; none: never.';

CREATE TABLE task_tool (
    task_id uuid NOT NULL REFERENCES task (id),
    tool text NOT NULL CHECK (octet_length(tool) <= 256),
    times bigint NOT NULL CHECK (times > 0),
    reversibility smallint NOT NULL CHECK (reversibility BETWEEN 1 AND 4),
    first_used_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, tool)
);
COMMENT ON TABLE task_tool IS 'How tools were used in a task, over all agents and enforcers.';
COMMENT ON COLUMN task_tool.task_id IS 'In which task.';
COMMENT ON COLUMN task_tool.tool IS 'Which, `<catalog>/<tool>`.';
COMMENT ON COLUMN task_tool.times IS 'How many calls of it were let through.';
COMMENT ON COLUMN task_tool.reversibility IS 'The highest class it had, 1 (read only) to 4 (irreversible).';
COMMENT ON COLUMN task_tool.first_used_at IS 'When it was first used.';
COMMENT ON COLUMN task_tool.last_used_at IS 'When it was last used.';

CREATE TABLE task_label (
    task_id uuid NOT NULL REFERENCES task (id),
    label text NOT NULL CHECK (octet_length(label) <= 64),
    source text NOT NULL CHECK (source IN ('call', 'result')),
    decision_id uuid NOT NULL,
    tool text NOT NULL,
    agent text NOT NULL,
    enforcer text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, label)
);
COMMENT ON TABLE task_label IS 'The kinds of data that were released in a task, each with the first call that brought it.';
COMMENT ON COLUMN task_label.task_id IS 'In which task.';
COMMENT ON COLUMN task_label.label IS 'Which kind.';
COMMENT ON COLUMN task_label.source IS 'Whether the call or its result told.';
COMMENT ON COLUMN task_label.decision_id IS 'The decision that let the call through; a record may say it that is stored later or nowhere.';
COMMENT ON COLUMN task_label.tool IS 'The tool that was called.';
COMMENT ON COLUMN task_label.agent IS 'SPIFFE ID of the agent that called it.';
COMMENT ON COLUMN task_label.enforcer IS 'The enforcer that released it.';
COMMENT ON COLUMN task_label.added_at IS 'When it was written, which is before the data was released.';

ALTER TABLE task_epoch ADD COLUMN labels text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN task_epoch.labels IS 'The labels it carried when the epoch ended, sorted.';

CREATE TABLE task_label_lifted (
    task_id uuid NOT NULL REFERENCES task (id),
    epoch bigint NOT NULL CHECK (epoch > 0),
    label text NOT NULL,
    source text NOT NULL,
    decision_id uuid NOT NULL,
    tool text NOT NULL,
    agent text NOT NULL,
    enforcer text NOT NULL,
    added_at timestamptz NOT NULL,
    lifted_by text NOT NULL,
    lifted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (task_id, epoch, label)
);
COMMENT ON TABLE task_label_lifted IS 'Labels that a person took from a task. Written once.';
COMMENT ON COLUMN task_label_lifted.task_id IS 'From which task.';
COMMENT ON COLUMN task_label_lifted.epoch IS 'The epoch that began with it.';
COMMENT ON COLUMN task_label_lifted.label IS 'Which kind of data.';
COMMENT ON COLUMN task_label_lifted.source IS 'Whether the call or its result had told.';
COMMENT ON COLUMN task_label_lifted.decision_id IS 'The decision that let the call through.';
COMMENT ON COLUMN task_label_lifted.tool IS 'The tool that was called.';
COMMENT ON COLUMN task_label_lifted.agent IS 'SPIFFE ID of the agent that called it.';
COMMENT ON COLUMN task_label_lifted.enforcer IS 'The enforcer that released it.';
COMMENT ON COLUMN task_label_lifted.added_at IS 'When it was written.';
COMMENT ON COLUMN task_label_lifted.lifted_by IS 'SPIFFE ID of who took it away.';
COMMENT ON COLUMN task_label_lifted.lifted_at IS 'When.';
COMMENT ON COLUMN task_label_lifted.reason IS 'Why.';
