-- Rules of groups of approvers: who stands in for whom, who is asked as well, who may break the glass; who is away.

ALTER TABLE approver_group
    ADD COLUMN excludes text[] NOT NULL DEFAULT '{}',
    ADD COLUMN deputy_of text[] NOT NULL DEFAULT '{}',
    ADD COLUMN deputies text[] NOT NULL DEFAULT '{}',
    ADD COLUMN escalate_after_ms bigint CHECK (escalate_after_ms > 0),
    ADD COLUMN escalate_to text,
    ADD COLUMN quiet_from integer CHECK (quiet_from BETWEEN 0 AND 1439),
    ADD COLUMN quiet_to integer CHECK (quiet_to BETWEEN 0 AND 1439),
    ADD COLUMN quiet_offset integer CHECK (quiet_offset BETWEEN -840 AND 840),
    ADD COLUMN quiet_asks text,
    ADD COLUMN break_glass text,
    ADD CONSTRAINT approver_group_deputies CHECK (cardinality(deputy_of) = cardinality(deputies)),
    ADD CONSTRAINT approver_group_escalation CHECK ((escalate_after_ms IS NULL) = (escalate_to IS NULL)),
    ADD CONSTRAINT approver_group_quiet CHECK (num_nulls(quiet_from, quiet_to, quiet_offset) IN (0, 3)
        AND (quiet_asks IS NULL OR quiet_from IS NOT NULL));
COMMENT ON COLUMN approver_group.excludes IS 'Whom it leaves out beside those who asked: agent_owner.';
COMMENT ON COLUMN approver_group.deputy_of IS 'Members who have a deputy.';
COMMENT ON COLUMN approver_group.deputies IS 'The deputy of each, in the same order: counts in their place while they are away.';
COMMENT ON COLUMN approver_group.escalate_after_ms IS 'After how long without enough answers another group is asked as well.';
COMMENT ON COLUMN approver_group.escalate_to IS 'That group.';
COMMENT ON COLUMN approver_group.quiet_from IS 'Quiet hours of every day begin at this minute, by the clock on the wall.';
COMMENT ON COLUMN approver_group.quiet_to IS 'And end before this one.';
COMMENT ON COLUMN approver_group.quiet_offset IS 'How many minutes that clock is ahead of UTC.';
COMMENT ON COLUMN approver_group.quiet_asks IS 'The group that is asked as well in quiet hours, at once; none: their time does not count towards escalation.';
COMMENT ON COLUMN approver_group.break_glass IS 'The group of its pack of which two may let happen what this one did not answer; none: nobody may.';

CREATE TABLE approver_absence (
    approver text NOT NULL,
    since timestamptz NOT NULL,
    lasts_until timestamptz CHECK (lasts_until > since),
    declared_by text NOT NULL,
    ended_at timestamptz,
    ended_by text,
    PRIMARY KEY (approver, since),
    CONSTRAINT absence_ended CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX absence_in_force ON approver_absence (approver) WHERE ended_at IS NULL;
COMMENT ON TABLE approver_absence IS 'When approvers were away. Changed under one lock that whoever counts votes shares. Never deleted.';
COMMENT ON COLUMN approver_absence.approver IS 'SPIFFE ID of who is away: they don''t answer, and whom groups name as their deputy does.';
COMMENT ON COLUMN approver_absence.since IS 'From when on.';
COMMENT ON COLUMN approver_absence.lasts_until IS 'Until when; none: until somebody says that they are back.';
COMMENT ON COLUMN approver_absence.declared_by IS 'SPIFFE ID of who said so: they themselves, or an operator.';
COMMENT ON COLUMN approver_absence.ended_at IS 'When they were back, or said something else; none: not before its time.';
COMMENT ON COLUMN approver_absence.ended_by IS 'SPIFFE ID of who said so.';

ALTER TABLE hold_vote
    ADD COLUMN as_group text,
    ADD COLUMN as_seat text,
    ADD COLUMN as_why text CHECK (as_why IN ('unanswered', 'quiet_hours')),
    ADD COLUMN as_since timestamptz,
    ADD CONSTRAINT hold_vote_as CHECK (num_nulls(as_group, as_seat, as_since) IN (0, 3) AND (as_why IS NULL OR as_group IS NOT NULL));
COMMENT ON COLUMN hold_vote.as_group IS 'The group in which they answered; none: from before groups had rules, or by a standing approval.';
COMMENT ON COLUMN hold_vote.as_seat IS 'SPIFFE ID of the member whose place they took: their own, or that of whom they stood in for.';
COMMENT ON COLUMN hold_vote.as_why IS 'Why that group was asked beside the one that the rule names; none: the rule names it.';
COMMENT ON COLUMN hold_vote.as_since IS 'From when on it was asked.';

ALTER TABLE hold ADD COLUMN broken_at timestamptz CHECK (broken_at IS NULL OR use_by IS NOT NULL);
CREATE INDEX hold_broken ON hold (broken_at) WHERE broken_at IS NOT NULL;
COMMENT ON COLUMN hold.broken_at IS 'When it was approved by breaking the glass, over people whose answer was missing; none: it was not.';

CREATE TABLE hold_break (
    hold_id uuid NOT NULL REFERENCES hold (id),
    approver text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    broken_at timestamptz NOT NULL,
    PRIMARY KEY (hold_id, approver)
);
COMMENT ON TABLE hold_break IS 'Who wanted the glass broken for a hold; it takes two.';
COMMENT ON COLUMN hold_break.hold_id IS 'For which.';
COMMENT ON COLUMN hold_break.approver IS 'SPIFFE ID.';
COMMENT ON COLUMN hold_break.reason IS 'Why.';
COMMENT ON COLUMN hold_break.broken_at IS 'When.';

CREATE TABLE hold_review (
    hold_id uuid PRIMARY KEY REFERENCES hold (id),
    reviewer text NOT NULL,
    finding text NOT NULL CHECK (finding IN ('justified', 'unjustified')),
    reason text NOT NULL CHECK (reason <> ''),
    reviewed_at timestamptz NOT NULL
);
COMMENT ON TABLE hold_review IS 'What somebody found who looked afterwards at a hold for which the glass was broken. Once, and never changed.';
COMMENT ON COLUMN hold_review.hold_id IS 'Which.';
COMMENT ON COLUMN hold_review.reviewer IS 'SPIFFE ID: none of those who broke it, and nobody who asked.';
COMMENT ON COLUMN hold_review.finding IS 'Whether it was right.';
COMMENT ON COLUMN hold_review.reason IS 'Why.';
COMMENT ON COLUMN hold_review.reviewed_at IS 'When.';
