-- Tasks whose terms change while they live: each change begins an epoch, and the grants of those before stop.

ALTER TABLE task
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    ADD COLUMN amended_at timestamptz,
    ADD CONSTRAINT task_amended CHECK ((epoch = 0) = (amended_at IS NULL));
COMMENT ON COLUMN task.grant_id IS 'The token that carries it, of the newest epoch.';
COMMENT ON COLUMN task.epoch IS 'How often it was amended.';
COMMENT ON COLUMN task.amended_at IS 'When the newest epoch began; none: with the task.';

CREATE TABLE task_epoch (
    task_id uuid NOT NULL REFERENCES task (id),
    epoch bigint NOT NULL CHECK (epoch >= 0),
    grant_id uuid NOT NULL UNIQUE,
    intent text NOT NULL,
    environment text NOT NULL,
    risk smallint NOT NULL CHECK (risk BETWEEN 0 AND 100),
    named text[] NOT NULL,
    data text[],
    amended_by text NOT NULL,
    amended_at timestamptz NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (task_id, epoch)
);
COMMENT ON TABLE task_epoch IS 'The epochs of tasks that are over: what a task said in each, and who changed that. Written once.';
COMMENT ON COLUMN task_epoch.task_id IS 'Whose.';
COMMENT ON COLUMN task_epoch.epoch IS 'Which: 0 began with the task.';
COMMENT ON COLUMN task_epoch.grant_id IS 'The token that carried it, which is believed no more.';
COMMENT ON COLUMN task_epoch.intent IS 'What the user wanted.';
COMMENT ON COLUMN task_epoch.environment IS 'Where it ran.';
COMMENT ON COLUMN task_epoch.risk IS 'At least so risky was what was done in it.';
COMMENT ON COLUMN task_epoch.named IS 'Values the user had named.';
COMMENT ON COLUMN task_epoch.data IS 'Which data it might touch; none: any.';
COMMENT ON COLUMN task_epoch.amended_by IS 'SPIFFE ID of who ended the epoch.';
COMMENT ON COLUMN task_epoch.amended_at IS 'When the next one began.';
COMMENT ON COLUMN task_epoch.reason IS 'Why.';
