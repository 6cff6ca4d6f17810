-- How much of a task's scope it may use.

ALTER TABLE task
    ADD COLUMN calls_max bigint CHECK (calls_max > 0),
    ADD COLUMN calls_used bigint NOT NULL DEFAULT 0 CHECK (calls_used >= 0),
    ADD COLUMN risk smallint NOT NULL DEFAULT 0 CHECK (risk BETWEEN 0 AND 100),
    ADD COLUMN depth smallint NOT NULL DEFAULT 0 CHECK (depth BETWEEN 0 AND 8),
    ADD CONSTRAINT task_budget CHECK (calls_used <= calls_max);
COMMENT ON COLUMN task.calls_max IS 'How many calls it may make in the whole fleet; none: they are not counted.';
COMMENT ON COLUMN task.calls_used IS 'How many it was charged.';
COMMENT ON COLUMN task.risk IS 'At least so risky is what is done in it; 0: nobody said.';
COMMENT ON COLUMN task.depth IS 'How many times in a row its grant may be passed on.';

CREATE TABLE task_use (
    task_id uuid NOT NULL REFERENCES task (id),
    use_id uuid NOT NULL,
    charged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, use_id)
);
COMMENT ON TABLE task_use IS 'The calls that were charged to a budget, each once however often it is asked for.';
COMMENT ON COLUMN task_use.task_id IS 'Whose budget.';
COMMENT ON COLUMN task_use.use_id IS 'The enforcer''s own name for the release, or the id of the hold that was consumed.';
COMMENT ON COLUMN task_use.charged_at IS 'When.';
