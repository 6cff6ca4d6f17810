-- Where the values of a task came from.

ALTER TABLE task ADD COLUMN values_lost boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN task.values_lost IS 'More stood in untrusted content than is remembered: any value could have.';

CREATE TABLE task_value (
    task_id uuid NOT NULL REFERENCES task (id),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 12),
    came_from smallint NOT NULL CHECK (came_from BETWEEN 1 AND 3),
    PRIMARY KEY (task_id, fingerprint)
);
COMMENT ON TABLE task_value IS 'Values that results of a task''s calls carried, none of which can be read from it.';
COMMENT ON COLUMN task_value.task_id IS 'In which task.';
COMMENT ON COLUMN task_value.fingerprint IS 'The first 12 bytes of HMAC-SHA256 over task and value, under the masking key.';
COMMENT ON COLUMN task_value.came_from IS '1: a system of record gave it; 2: it stood in untrusted content; 3: both.';
