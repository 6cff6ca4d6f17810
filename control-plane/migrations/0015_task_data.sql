-- Which data a task may touch.

ALTER TABLE task
    ADD COLUMN data text[] CHECK (cardinality(data) <= 64);
COMMENT ON COLUMN task.data IS 'The labels that what its tools yield may carry; none: any; empty: only tools that yield nothing.';
