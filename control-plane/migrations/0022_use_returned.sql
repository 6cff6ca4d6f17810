-- What comes back when a release did not go ahead.

ALTER TABLE task_use
    ADD COLUMN grant_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN grant_parents bytea[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT task_use_grants CHECK (cardinality(grant_ids) = cardinality(grant_parents));
COMMENT ON COLUMN task_use.grant_ids IS 'The grants that were passed on and charged for it, root first.';
COMMENT ON COLUMN task_use.grant_parents IS 'What each of them hangs on.';

-- Nothing is left of the only call when it is given back.
ALTER TABLE task_grant
    DROP CONSTRAINT task_grant_calls_used_check,
    ADD CONSTRAINT task_grant_calls_used CHECK (calls_used >= 0);

ALTER TABLE hold ADD COLUMN consumed_attempt uuid;
COMMENT ON COLUMN hold.consumed_attempt IS 'The enforcer''s own name for the attempt that used the approval, by which it says that it did not hear of it; none: it gave none.';
