-- Notifications: further groups that are told of a hold, and a message for each recipient of a channel.

ALTER TABLE notice ADD COLUMN group_name text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX notice_once_by_group ON notice (hold_id, kind, group_name) WHERE group_name <> '';
COMMENT ON COLUMN notice.group_name IS 'The group that is asked beside those that rules name, if the event is that; it is told once of a hold. Empty: the event is another.';
COMMENT ON COLUMN notice.ordinal IS 'Tells apart what can happen to a hold more than once: the version of the hold, the how-manyth further group, or 0.';

ALTER TABLE notification ADD COLUMN recipient text NOT NULL DEFAULT '';
ALTER TABLE notification
    DROP CONSTRAINT notification_notice_id_channel_key,
    ADD CONSTRAINT notification_once UNIQUE (notice_id, channel, recipient);
COMMENT ON TABLE notification IS 'One message about one event, for one recipient of one channel.';
COMMENT ON COLUMN notification.recipient IS 'The address of e-mail that it goes to, so that each has an outcome of its own; empty: wherever the channel leads.';

CREATE INDEX standing_revoked ON standing_approval (ended_at) WHERE ended_by IS NOT NULL;
