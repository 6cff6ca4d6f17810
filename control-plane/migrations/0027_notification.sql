-- Notifications: what people are told of holds. Nothing here decides anything.

CREATE TABLE notification_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL CHECK (revision >= 0)
);
COMMENT ON TABLE notification_cursor IS 'How far the steps of holds were made into events. No row: notifications were never configured.';
COMMENT ON COLUMN notification_cursor.only_row IS 'There is one.';
COMMENT ON COLUMN notification_cursor.revision IS 'The revision of the last step that was.';

CREATE TABLE notice (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    hold_id uuid NOT NULL,
    ordinal bigint NOT NULL,
    facts text NOT NULL,
    happened_at timestamptz NOT NULL,
    UNIQUE (hold_id, kind, ordinal)
);
CREATE INDEX notice_by_time ON notice (happened_at);
COMMENT ON TABLE notice IS 'Events that people may be told of. Deleted when they are old. No foreign key leads to the hold: to check it would lock the hold, for which votes wait.';
COMMENT ON COLUMN notice.id IS 'Its id.';
COMMENT ON COLUMN notice.kind IS 'What happened, as configs say it.';
COMMENT ON COLUMN notice.hold_id IS 'To which hold, or to the standing approval that was given with it.';
COMMENT ON COLUMN notice.ordinal IS 'Tells apart what can happen to a hold more than once: the version of the hold, or 0.';
COMMENT ON COLUMN notice.facts IS 'JSON: what messages say. No argument of the action is in it.';
COMMENT ON COLUMN notice.happened_at IS 'When.';

CREATE TABLE notification (
    id uuid PRIMARY KEY,
    notice_id uuid NOT NULL REFERENCES notice (id) ON DELETE CASCADE,
    channel text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'sent', 'dead')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    made_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    leased_until timestamptz,
    last_error text NOT NULL DEFAULT '',
    ended_at timestamptz,
    UNIQUE (notice_id, channel),
    CHECK ((state = 'waiting') = (ended_at IS NULL)),
    CHECK (state = 'waiting' OR leased_until IS NULL)
);
CREATE INDEX notification_due ON notification (channel, next_at) WHERE state = 'waiting';
CREATE INDEX notification_over ON notification (ended_at) WHERE state <> 'waiting';
COMMENT ON TABLE notification IS 'One message about one event, for one channel.';
COMMENT ON COLUMN notification.id IS 'Its id, the same in every try.';
COMMENT ON COLUMN notification.notice_id IS 'The event.';
COMMENT ON COLUMN notification.channel IS 'The name of the channel.';
COMMENT ON COLUMN notification.state IS 'Whether it reached the channel.';
COMMENT ON COLUMN notification.attempts IS 'How often it was tried since it was made or retried; who writes the outcome of a try names it.';
COMMENT ON COLUMN notification.made_at IS 'When it was made, or retried by an operator.';
COMMENT ON COLUMN notification.next_at IS 'When it may be tried.';
COMMENT ON COLUMN notification.leased_until IS 'Until when a replica tries it; none: nobody does.';
COMMENT ON COLUMN notification.last_error IS 'Why the last try failed.';
COMMENT ON COLUMN notification.ended_at IS 'When it was sent or given up.';

CREATE TABLE notification_off (
    channel text PRIMARY KEY,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    off_at timestamptz NOT NULL
);
COMMENT ON TABLE notification_off IS 'Channels whose receiver wants no more.';
COMMENT ON COLUMN notification_off.channel IS 'Its name.';
COMMENT ON COLUMN notification_off.fingerprint IS 'SHA-256 of where it led: the channel is on again when it leads elsewhere.';
COMMENT ON COLUMN notification_off.off_at IS 'Since when.';
