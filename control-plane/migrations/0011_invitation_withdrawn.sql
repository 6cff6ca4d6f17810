-- Invitations that can be listed and taken back: the secret's digest, which is the key, is shown to nobody.

ALTER TABLE invitation
    ADD COLUMN place bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN withdrawn_by text,
    ADD COLUMN withdrawn_at timestamptz,
    ADD CHECK ((withdrawn_by IS NULL) = (withdrawn_at IS NULL)),
    ADD CHECK (withdrawn_at IS NULL OR joined_at IS NULL);
COMMENT ON COLUMN invitation.place IS 'Where it stands in the list; later ones are higher.';
COMMENT ON COLUMN invitation.withdrawn_by IS 'SPIFFE ID of the operator who took it back; none: nobody did.';
COMMENT ON COLUMN invitation.withdrawn_at IS 'When.';
CREATE INDEX invitation_by_identity ON invitation (role, name);
