-- Who is signed in at the console, and links that sign somebody in once. Every replica reads it.

CREATE TABLE console_session (
    token_sha256 bytea PRIMARY KEY CHECK (octet_length(token_sha256) = 32),
    identities text[] NOT NULL CHECK (cardinality(identities) BETWEEN 1 AND 8),
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX console_session_by_identity ON console_session (identities, opened_at);
CREATE INDEX console_session_by_use ON console_session (used_at);
COMMENT ON TABLE console_session IS 'People who are signed in at the console.';
COMMENT ON COLUMN console_session.token_sha256 IS 'Of the token that the browser keeps; the token is kept nowhere else.';
COMMENT ON COLUMN console_session.identities IS 'SPIFFE IDs of the person, one for each role.';
COMMENT ON COLUMN console_session.opened_at IS 'When they signed in.';
COMMENT ON COLUMN console_session.used_at IS 'When they were last seen, to the minute.';
COMMENT ON COLUMN console_session.expires_at IS 'When it ends, however often it is used.';

CREATE TABLE console_link (
    token_sha256 bytea PRIMARY KEY CHECK (octet_length(token_sha256) = 32),
    identity text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX console_link_by_identity ON console_link (identity, expires_at);
COMMENT ON TABLE console_link IS 'Links that sign a person in at the console, once.';
COMMENT ON COLUMN console_link.token_sha256 IS 'Of the token in the link; the token is kept nowhere.';
COMMENT ON COLUMN console_link.identity IS 'SPIFFE ID of who asked for it.';
COMMENT ON COLUMN console_link.expires_at IS 'Until when it is good.';
