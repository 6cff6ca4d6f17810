-- Packs as they were pushed, and what was compiled from them.

CREATE TABLE pack_revision (
    pack text NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    generation bigint NOT NULL,
    source_sha256 bytea NOT NULL CHECK (length(source_sha256) = 32),
    files bytea NOT NULL,
    rules integer NOT NULL,
    tools integer NOT NULL,
    pushed_by text NOT NULL,
    pushed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    note text NOT NULL,
    PRIMARY KEY (pack, revision)
);
COMMENT ON TABLE pack_revision IS 'Every pushed state of every pack; append-only. The highest revision is in force.';
COMMENT ON COLUMN pack_revision.pack IS 'Its name.';
COMMENT ON COLUMN pack_revision.revision IS 'Counts this pack''s pushes from 1.';
COMMENT ON COLUMN pack_revision.generation IS 'The generation that first carried it.';
COMMENT ON COLUMN pack_revision.source_sha256 IS 'Over the pack''s files.';
COMMENT ON COLUMN pack_revision.files IS 'The files, as an encoded ShowResponse.';
COMMENT ON COLUMN pack_revision.rules IS 'How many rules it has.';
COMMENT ON COLUMN pack_revision.tools IS 'How many tools its catalogs describe.';
COMMENT ON COLUMN pack_revision.pushed_by IS 'SPIFFE ID.';
COMMENT ON COLUMN pack_revision.pushed_at IS 'When.';
COMMENT ON COLUMN pack_revision.note IS 'Why.';

CREATE TABLE segment (
    sha256 bytea PRIMARY KEY CHECK (length(sha256) = 32),
    content bytea NOT NULL
);
COMMENT ON TABLE segment IS 'Parts of bundles, by content.';
COMMENT ON COLUMN segment.sha256 IS 'Of content.';
COMMENT ON COLUMN segment.content IS 'The encoded segment.';

CREATE TABLE bundle (
    generation bigint NOT NULL,
    audience text NOT NULL,
    packs text[] NOT NULL,
    segments bytea[] NOT NULL,
    manifest bytea NOT NULL,
    manifest_sha256 bytea NOT NULL CHECK (length(manifest_sha256) = 32),
    signature bytea NOT NULL,
    key_id text NOT NULL,
    composed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (generation, audience)
);
COMMENT ON TABLE bundle IS 'What each audience runs at each generation. Old ones that nobody runs are swept.';
COMMENT ON COLUMN bundle.generation IS 'The revision that composed it.';
COMMENT ON COLUMN bundle.audience IS 'Hash of the names of its packs.';
COMMENT ON COLUMN bundle.packs IS 'Those names.';
COMMENT ON COLUMN bundle.segments IS 'SHA-256 of each segment its manifest names: a segment of no bundle is swept.';
COMMENT ON COLUMN bundle.manifest IS 'The encoded manifest.';
COMMENT ON COLUMN bundle.manifest_sha256 IS 'The bundle''s digest.';
COMMENT ON COLUMN bundle.signature IS 'Ed25519 over manifest.';
COMMENT ON COLUMN bundle.key_id IS 'By which bundle key.';
COMMENT ON COLUMN bundle.composed_at IS 'When.';

CREATE TABLE approver_group (
    name text PRIMARY KEY,
    pack text NOT NULL,
    members text[] NOT NULL
);
COMMENT ON TABLE approver_group IS 'The groups that the packs in force name, replaced with each generation.';
COMMENT ON COLUMN approver_group.name IS 'As @hold names it.';
COMMENT ON COLUMN approver_group.pack IS 'The pack it belongs to.';
COMMENT ON COLUMN approver_group.members IS 'SPIFFE IDs.';
