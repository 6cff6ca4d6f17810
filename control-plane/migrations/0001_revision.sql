-- What every room stands on: gap-free counters, and answers that must be given once.

CREATE TABLE revision (
    feed text PRIMARY KEY,
    value bigint NOT NULL CHECK (value >= 0)
);
COMMENT ON TABLE revision IS 'One gap-free counter a feed. A verb''s transaction raises it last, so that revisions commit in order and `value > last` misses nothing.';
COMMENT ON COLUMN revision.feed IS 'policy (its value is the generation), fleet, task (its value is the revocation sequence) or hold.';
COMMENT ON COLUMN revision.value IS 'How many revisions there have been.';

INSERT INTO revision (feed, value) VALUES ('policy', 0), ('fleet', 0), ('task', 0), ('hold', 0);

CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    trust_domain text NOT NULL,
    epoch bigint NOT NULL CHECK (epoch > 0),
    root_public_key bytea NOT NULL CHECK (length(root_public_key) = 32),
    key_set_version bigint NOT NULL CHECK (key_set_version > 0),
    key_set_sha256 bytea NOT NULL CHECK (length(key_set_sha256) = 32)
);
COMMENT ON TABLE installation IS 'The one control plane this database belongs to.';
COMMENT ON COLUMN installation.only_row IS 'There is one.';
COMMENT ON COLUMN installation.trust_domain IS 'The SPIFFE trust domain it certifies.';
COMMENT ON COLUMN installation.epoch IS 'Raised after a restore, with the root key''s consent; generations count within it.';
COMMENT ON COLUMN installation.root_public_key IS 'What enforcers pin; a replica with another is refused.';
COMMENT ON COLUMN installation.key_set_version IS 'The newest key set that a replica has served with; an older one is refused.';
COMMENT ON COLUMN installation.key_set_sha256 IS 'Of that key set, encoded.';

CREATE TABLE idempotency (
    caller text NOT NULL,
    verb text NOT NULL,
    key text NOT NULL,
    request_sha256 bytea CHECK (length(request_sha256) = 32),
    answer bytea NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, verb, key)
);
COMMENT ON TABLE idempotency IS 'Answers already given, so that a retried mutation changes nothing twice.';
COMMENT ON COLUMN idempotency.caller IS 'SPIFFE ID.';
COMMENT ON COLUMN idempotency.verb IS 'The RPC.';
COMMENT ON COLUMN idempotency.key IS 'The caller''s own key.';
COMMENT ON COLUMN idempotency.request_sha256 IS 'Over what was asked: the same key with another request is refused. None: the verb does not say.';
COMMENT ON COLUMN idempotency.answer IS 'Which row the answer was, as an encoded ShowRequest of the verb''s room: the answer is made from that row again.';
COMMENT ON COLUMN idempotency.answered_at IS 'When; rows older than a day are swept.';
