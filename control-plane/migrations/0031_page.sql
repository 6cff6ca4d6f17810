-- What pages are made of, at hand however much there is: holds counted, and what was stopped found by whose it was.

-- Holds are counted in the very transaction that changes one. By a trigger and not by a statement of the program's: a replica of an
-- earlier version, which knows nothing of counts, may still answer holds, and what it missed would never come right.

SET LOCAL statement_timeout = 0;
SET LOCAL work_mem = '128MB';
SET LOCAL jit = off;

-- Rows of today are changed with every hold: room for the next version beside each keeps their index as it is.
CREATE TABLE hold_count (
    part text NOT NULL CHECK (part IN ('all', 'agent', 'group')),
    day date NOT NULL,
    name text NOT NULL,
    opened bigint NOT NULL DEFAULT 0,
    standing bigint NOT NULL DEFAULT 0,
    approved bigint NOT NULL DEFAULT 0,
    denied bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    answers integer[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (part, day, name)
) WITH (fillfactor = 50);
COMMENT ON TABLE hold_count IS 'What became of the holds of a day: all of them, those of an agent, those that waited for a group. Written by a trigger on hold only. Never deleted, as holds are not.';
COMMENT ON COLUMN hold_count.part IS 'Of which holds: all, or those of one agent or group.';
COMMENT ON COLUMN hold_count.day IS 'UTC, on which they were opened.';
COMMENT ON COLUMN hold_count.name IS 'The agent''s SPIFFE ID, or the group; empty: all.';
COMMENT ON COLUMN hold_count.opened IS 'How many. Those that are in none of the next five wait.';
COMMENT ON COLUMN hold_count.standing IS 'Answered by a standing approval, which asked nobody.';
COMMENT ON COLUMN hold_count.approved IS 'People said yes, whatever came of it.';
COMMENT ON COLUMN hold_count.denied IS 'A person said no.';
COMMENT ON COLUMN hold_count.expired IS 'Nobody answered in time.';
COMMENT ON COLUMN hold_count.cancelled IS 'Nobody needs to answer any more.';
COMMENT ON COLUMN hold_count.answers IS 'How many answers came on each step of a scale of time, of 20 steps for each factor of e: step 0 ends with the first millisecond.';

-- What became of a hold, and on which step of the scale its answer came. What is approved stays so, whatever comes of it.
CREATE FUNCTION hold_became(state text, standing_id uuid, use_by timestamptz) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN state = 'open' THEN 'opened' WHEN standing_id IS NOT NULL THEN 'standing'
                WHEN use_by IS NOT NULL THEN 'approved' ELSE state END
$$;
CREATE FUNCTION hold_answer_step(opened_at timestamptz, answered_at timestamptz) RETURNS integer IMMUTABLE LANGUAGE sql AS $$
    SELECT ceil(ln(greatest(extract(epoch FROM answered_at - opened_at)::float8 * 1000, 1)) * 20)::integer
$$;

CREATE FUNCTION count_hold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    became text := hold_became(NEW.state, NEW.standing_id, NEW.use_by);
    step integer := CASE WHEN became IN ('approved', 'denied') THEN hold_answer_step(NEW.opened_at, NEW.answered_at) END;
    opened_on date := (NEW.opened_at AT TIME ZONE 'UTC')::date;
    counted record;
BEGIN
    -- A hold that several rules hold for one group counts once with it.
    FOR counted IN SELECT 'agent' AS part, NEW.agent AS name UNION ALL SELECT 'all', ''
        UNION ALL (SELECT DISTINCT 'group', group_name FROM hold_requirement WHERE hold_id = NEW.id)
    LOOP
        INSERT INTO hold_count (part, day, name) VALUES (counted.part, opened_on, counted.name) ON CONFLICT DO NOTHING;
        IF step IS NULL THEN
            UPDATE hold_count SET opened = opened + (became = 'opened')::int, standing = standing + (became = 'standing')::int,
                approved = approved + (became = 'approved')::int, denied = denied + (became = 'denied')::int,
                expired = expired + (became = 'expired')::int, cancelled = cancelled + (became = 'cancelled')::int
            WHERE part = counted.part AND day = opened_on AND name = counted.name;
        ELSE
            UPDATE hold_count SET approved = approved + (became = 'approved')::int, denied = denied + (became = 'denied')::int,
                answers[step] = coalesce(answers[step], 0) + 1
            WHERE part = counted.part AND day = opened_on AND name = counted.name;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- At the transaction's end: by then it has the requirements of a hold that it opens, and, like every transaction that changes
-- what becomes of one, the lock of the counter of holds, so that nobody ever waits for a count, and none waits for the other.
CREATE CONSTRAINT TRIGGER hold_opened AFTER INSERT ON hold DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION count_hold();
CREATE CONSTRAINT TRIGGER hold_answered AFTER UPDATE OF state ON hold DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.state = 'open' AND NEW.state <> 'open') EXECUTE FUNCTION count_hold();

-- What was held before. The triggers keep everybody else from changing a hold until this is committed.
INSERT INTO hold_count (part, day, name, opened, standing, approved, denied, expired, cancelled, answers)
WITH held AS MATERIALIZED (
    SELECT id, agent, (opened_at AT TIME ZONE 'UTC')::date AS day, hold_became(state, standing_id, use_by) AS became,
           CASE WHEN hold_became(state, standing_id, use_by) IN ('approved', 'denied') THEN hold_answer_step(opened_at, answered_at) END AS step
    FROM hold
), parted AS (
    SELECT 'all' AS part, day, '' AS name, became, step FROM held
    UNION ALL SELECT 'agent', day, agent, became, step FROM held
    UNION ALL SELECT 'group', day, group_name, became, step
        FROM held JOIN (SELECT DISTINCT hold_id, group_name FROM hold_requirement) AS waited ON hold_id = id
), counted AS (
    SELECT part, day, name, became, step, count(*) AS holds FROM parted GROUP BY part, day, name, became, step
), stepped AS (
    SELECT part, day, name, step, sum(holds) AS holds, lag(step) OVER (PARTITION BY part, day, name ORDER BY step) AS before
    FROM counted WHERE step IS NOT NULL GROUP BY part, day, name, step
), scaled AS (
    -- From the first step that has any to the last, with nothing for those between that have none.
    SELECT part, day, name, format('[%s:%s]={%s}', min(step), max(step),
        string_agg(repeat('NULL,', step - coalesce(before, step - 1) - 1) || holds, ',' ORDER BY step))::integer[] AS answers
    FROM stepped GROUP BY part, day, name
), totals AS (
    SELECT part, day, name, sum(holds) AS opened, sum(holds) FILTER (WHERE became = 'standing') AS standing,
           sum(holds) FILTER (WHERE became = 'approved') AS approved, sum(holds) FILTER (WHERE became = 'denied') AS denied,
           sum(holds) FILTER (WHERE became = 'expired') AS expired, sum(holds) FILTER (WHERE became = 'cancelled') AS cancelled
    FROM counted GROUP BY part, day, name
)
SELECT part, day, name, opened, coalesce(standing, 0), coalesce(approved, 0), coalesce(denied, 0), coalesce(expired, 0),
       coalesce(cancelled, 0), coalesce(answers, '{}')
FROM totals LEFT JOIN scaled USING (part, day, name);

DROP INDEX hold_numbers;
DROP INDEX hold_requirement_group;

-- Any list of holds, by their states, the most urgent first.
CREATE INDEX hold_by_state ON hold (state, decide_by, id);
DROP INDEX hold_waiting;

-- Few are stopped: all of a tool or of an agent that were, along one index, even where there are none.
CREATE INDEX decision_stopped_by_tool ON decision (tool, verdict, decided_at) WHERE verdict <> 'permit';
CREATE INDEX decision_stopped_by_agent ON decision (agent, verdict, decided_at) WHERE verdict <> 'permit';
