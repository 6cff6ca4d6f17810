-- Which enforcers there are, and what each runs.

CREATE TABLE enforcer (
    name text PRIMARY KEY,
    spiffe_id text NOT NULL UNIQUE,
    labels text[] NOT NULL,
    agents text[] NOT NULL,
    audience text NOT NULL,
    registered_by text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE enforcer IS 'The register: an enforcer that is not in it is refused.';
COMMENT ON COLUMN enforcer.name IS 'The last part of its SPIFFE ID.';
COMMENT ON COLUMN enforcer.spiffe_id IS 'Its identity.';
COMMENT ON COLUMN enforcer.labels IS 'key=value; packs select by them.';
COMMENT ON COLUMN enforcer.agents IS 'SPIFFE IDs of the agents it may speak for.';
COMMENT ON COLUMN enforcer.audience IS 'Which bundle it runs: follows from its labels and the packs in force.';
COMMENT ON COLUMN enforcer.registered_by IS 'SPIFFE ID of the operator.';
COMMENT ON COLUMN enforcer.registered_at IS 'When.';

CREATE TABLE enforcer_instance (
    enforcer text NOT NULL REFERENCES enforcer (name),
    instance_id uuid NOT NULL,
    incarnation bigint NOT NULL,
    session_id uuid,
    build text NOT NULL,
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    acked_generation bigint NOT NULL DEFAULT 0,
    acked_at timestamptz,
    journal_pending bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (enforcer, instance_id)
);
COMMENT ON TABLE enforcer_instance IS 'One row a directory from which an enforcer has run. Those long silent are swept, unless records of theirs never came home.';
COMMENT ON COLUMN enforcer_instance.enforcer IS 'Whose.';
COMMENT ON COLUMN enforcer_instance.instance_id IS 'The directory.';
COMMENT ON COLUMN enforcer_instance.incarnation IS 'How often it was opened; a session of an earlier one is fenced.';
COMMENT ON COLUMN enforcer_instance.session_id IS 'The stream it is on; none: not connected.';
COMMENT ON COLUMN enforcer_instance.build IS 'Its version.';
COMMENT ON COLUMN enforcer_instance.last_seen_at IS 'The last beat.';
COMMENT ON COLUMN enforcer_instance.acked_generation IS 'What it said it enforces.';
COMMENT ON COLUMN enforcer_instance.acked_at IS 'When it said so.';
COMMENT ON COLUMN enforcer_instance.journal_pending IS 'Records it has not been able to bring home.';

CREATE TABLE nack (
    enforcer text NOT NULL REFERENCES enforcer (name),
    instance_id uuid NOT NULL,
    manifest_sha256 bytea NOT NULL,
    build text NOT NULL,
    generation bigint NOT NULL,
    stage integer NOT NULL,
    reason text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (enforcer, instance_id, manifest_sha256, build)
);
COMMENT ON TABLE nack IS 'Bundles an enforcer refused: the same bytes are not offered to the same build again. Swept some time after the bundle is.';
COMMENT ON COLUMN nack.enforcer IS 'Who refused.';
COMMENT ON COLUMN nack.instance_id IS 'From which directory.';
COMMENT ON COLUMN nack.manifest_sha256 IS 'What.';
COMMENT ON COLUMN nack.build IS 'In which version.';
COMMENT ON COLUMN nack.generation IS 'Its generation.';
COMMENT ON COLUMN nack.stage IS 'Where it failed, as on the wire.';
COMMENT ON COLUMN nack.reason IS 'Why, in the enforcer''s words.';
COMMENT ON COLUMN nack.refused_at IS 'When.';
