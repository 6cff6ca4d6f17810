-- Places kept for identities whose keys are made elsewhere.

CREATE TABLE invitation (
    secret_sha256 bytea PRIMARY KEY,
    role text NOT NULL,
    name text NOT NULL,
    labels text[] NOT NULL,
    agents text[] NOT NULL,
    invited_by text NOT NULL,
    invited_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    key_sha256 bytea,
    joined_at timestamptz,
    CHECK ((key_sha256 IS NULL) = (joined_at IS NULL))
);
COMMENT ON TABLE invitation IS 'Who may join with a secret, once. Swept some time after it has expired.';
COMMENT ON COLUMN invitation.secret_sha256 IS 'SHA-256 of the secret, which is not stored.';
COMMENT ON COLUMN invitation.role IS 'The role of the identity.';
COMMENT ON COLUMN invitation.name IS 'Its name.';
COMMENT ON COLUMN invitation.labels IS 'key=value: the labels of the enforcer to be.';
COMMENT ON COLUMN invitation.agents IS 'SPIFFE IDs of the agents that it may speak for.';
COMMENT ON COLUMN invitation.invited_by IS 'SPIFFE ID of the operator.';
COMMENT ON COLUMN invitation.invited_at IS 'When.';
COMMENT ON COLUMN invitation.expires_at IS 'By the clock of the database.';
COMMENT ON COLUMN invitation.key_sha256 IS 'SHA-256 of the public key that took the place; none: nobody did.';
COMMENT ON COLUMN invitation.joined_at IS 'When it did.';
