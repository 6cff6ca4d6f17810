-- What people said to each other about holds before they answered them.

CREATE TABLE hold_remark (
    hold_id uuid NOT NULL REFERENCES hold (id),
    ordinal smallint NOT NULL CHECK (ordinal BETWEEN 1 AND 32),
    author text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('question', 'reply', 'handed_on')),
    handed_to text,
    remark text NOT NULL CHECK (remark <> '' AND octet_length(remark) <= 1024),
    version bigint NOT NULL,
    idempotency_key text NOT NULL,
    remarked_at timestamptz NOT NULL,
    PRIMARY KEY (hold_id, ordinal),
    UNIQUE (author, idempotency_key),
    CONSTRAINT hold_remark_handed_to CHECK ((handed_to IS NOT NULL) = (kind = 'handed_on'))
);
COMMENT ON TABLE hold_remark IS 'What people said of holds. No answers: nothing that decides a hold reads it. Never changed.';
COMMENT ON COLUMN hold_remark.hold_id IS 'Of which.';
COMMENT ON COLUMN hold_remark.ordinal IS 'Its place among the remarks of the hold.';
COMMENT ON COLUMN hold_remark.author IS 'SPIFFE ID.';
COMMENT ON COLUMN hold_remark.kind IS 'Asked, said to what was asked, or handed on to somebody else who might answer the hold then.';
COMMENT ON COLUMN hold_remark.handed_to IS 'SPIFFE ID of whom.';
COMMENT ON COLUMN hold_remark.remark IS 'In the words of who said it. Of a question the agent is told.';
COMMENT ON COLUMN hold_remark.version IS 'Of the hold after it, by which the log of steps finds it.';
COMMENT ON COLUMN hold_remark.idempotency_key IS 'By which the same request again changes nothing.';
COMMENT ON COLUMN hold_remark.remarked_at IS 'When.';
