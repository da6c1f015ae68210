-- Levels whose counters were found to differ from the ledger or from the open holds.
CREATE TABLE inventory.drift_findings (
    finding_id UUID NOT NULL
  , sku TEXT NOT NULL
  , location_id TEXT NOT NULL
    -- As the level says.
  , sellable BIGINT NOT NULL
  , damaged BIGINT NOT NULL
  , quarantine BIGINT NOT NULL
  , soft_held BIGINT NOT NULL
  , hard_held BIGINT NOT NULL
    -- As ledger and open holds say.
  , expected_sellable BIGINT NOT NULL
  , expected_damaged BIGINT NOT NULL
  , expected_quarantine BIGINT NOT NULL
  , expected_soft_held BIGINT NOT NULL
  , expected_hard_held BIGINT NOT NULL
  , level_version BIGINT NOT NULL
  , found_at TIMESTAMPTZ NOT NULL
    -- When it was last seen to be so.
  , seen_at TIMESTAMPTZ NOT NULL
    -- When it was repaired, or found to be right again.
  , resolved_at TIMESTAMPTZ NULL
  , CONSTRAINT drift_findings_pkey PRIMARY KEY (finding_id)
);

-- One open finding per level.
CREATE UNIQUE INDEX drift_findings_open_key ON inventory.drift_findings (sku, location_id) WHERE resolved_at IS NULL;

-- Who set a level right, when and why, with what it said before and after.
CREATE TABLE inventory.level_repairs (
    -- The request's id.
    repair_id UUID NOT NULL
  , sku TEXT NOT NULL
  , location_id TEXT NOT NULL
    -- The API key that asked.
  , repaired_by TEXT NOT NULL
  , reason TEXT NOT NULL
  , sellable_before BIGINT NOT NULL
  , damaged_before BIGINT NOT NULL
  , quarantine_before BIGINT NOT NULL
  , soft_held_before BIGINT NOT NULL
  , hard_held_before BIGINT NOT NULL
  , sellable_after BIGINT NOT NULL
  , damaged_after BIGINT NOT NULL
  , quarantine_after BIGINT NOT NULL
  , soft_held_after BIGINT NOT NULL
  , hard_held_after BIGINT NOT NULL
    -- That the level got with the repair.
  , level_version BIGINT NOT NULL
  , repaired_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT level_repairs_pkey PRIMARY KEY (repair_id)
  , CONSTRAINT level_repairs_reason_check CHECK (reason <> '')
);

CREATE INDEX level_repairs_sku_location_id_idx ON inventory.level_repairs (sku, location_id, repaired_at);
