-- Whether what is held can be undone, and what was approved before it.

ALTER TABLE hold ADD COLUMN reversibility smallint CHECK (reversibility BETWEEN 1 AND 4);
COMMENT ON COLUMN hold.reversibility IS 'Of the tool, 1 (read only) to 4 (irreversible); none: nobody said.';

CREATE INDEX hold_approved ON hold (tool, agent, user_name, opened_at DESC, id DESC) WHERE use_by IS NOT NULL;
