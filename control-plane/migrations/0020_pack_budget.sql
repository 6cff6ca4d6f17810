-- Budgets that packs set for users, agents, tools and tasks.

CREATE TABLE pack_budget (
    pack text NOT NULL,
    name text NOT NULL,
    per text NOT NULL CHECK (per IN ('user', 'agent', 'tool', 'task')),
    meter text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    window_ms bigint CHECK (window_ms > 0),
    tools text[] NOT NULL,
    PRIMARY KEY (pack, name)
);
COMMENT ON TABLE pack_budget IS 'The budgets that the packs in force set, replaced with each generation.';
COMMENT ON COLUMN pack_budget.pack IS 'The pack it belongs to.';
COMMENT ON COLUMN pack_budget.name IS 'Its name in its pack.';
COMMENT ON COLUMN pack_budget.per IS 'Whose it is.';
COMMENT ON COLUMN pack_budget.meter IS 'Of what.';
COMMENT ON COLUMN pack_budget.amount IS 'How much; money in ten-thousandths.';
COMMENT ON COLUMN pack_budget.window_ms IS 'In which time; none: ever. Windows begin at whole multiples since 1970.';
COMMENT ON COLUMN pack_budget.tools IS 'Calls of which tools count; empty: all.';
