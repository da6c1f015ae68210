-- Counts of what is there.
CREATE TABLE inventory.counts (
    -- The request id of the StartCount that made it.
    count_id UUID NOT NULL
  , location_id TEXT NOT NULL
  , bucket TEXT NOT NULL
  , kind TEXT NOT NULL
  , state TEXT NOT NULL
  , reference TEXT NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT counts_pkey PRIMARY KEY (count_id)
  , CONSTRAINT counts_location_id_fkey FOREIGN KEY (location_id) REFERENCES inventory.locations (location_id)
  , CONSTRAINT counts_bucket_check CHECK (bucket IN ('sellable', 'damaged', 'quarantine'))
  , CONSTRAINT counts_kind_check CHECK (kind IN ('full', 'cycle'))
  , CONSTRAINT counts_state_check CHECK (state IN ('counting', 'approved', 'posted', 'cancelled'))
);

CREATE INDEX counts_created_at_idx ON inventory.counts (created_at, count_id);

CREATE TABLE inventory.count_lines (
    count_id UUID NOT NULL
  , sku TEXT NOT NULL
    -- Of the count, so that the key below can say its rule.
  , location_id TEXT NOT NULL
  , bucket TEXT NOT NULL
    -- What the books said when the line was frozen, and the level's version that said so.
  , expected BIGINT NOT NULL
  , frozen_version BIGINT NOT NULL
    -- Null until somebody has looked.
  , counted BIGINT NULL
    -- 1, and one more with each recount.
  , round INT NOT NULL
    -- Whether the count is still to be posted or cancelled.
  , open BOOLEAN NOT NULL
  , CONSTRAINT count_lines_pkey PRIMARY KEY (count_id, sku)
  , CONSTRAINT count_lines_count_id_fkey FOREIGN KEY (count_id) REFERENCES inventory.counts (count_id)
  , CONSTRAINT count_lines_counted_check CHECK (counted >= 0)
  , CONSTRAINT count_lines_round_check CHECK (round > 0)
);

-- Two open counts of one thing would both post the same difference.
CREATE UNIQUE INDEX count_lines_open_key ON inventory.count_lines (sku, location_id, bucket) WHERE open;

-- How often to count what, and when it was counted last.
CREATE TABLE inventory.count_plan (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , class TEXT NOT NULL
    -- Set by somebody: computing classes leaves it alone.
  , pinned BOOLEAN NOT NULL
  , last_counted_at TIMESTAMPTZ NULL
  , CONSTRAINT count_plan_pkey PRIMARY KEY (location_id, sku)
  , CONSTRAINT count_plan_location_id_fkey FOREIGN KEY (location_id) REFERENCES inventory.locations (location_id)
  , CONSTRAINT count_plan_class_check CHECK (class IN ('A', 'B', 'C'))
);

-- Every how many days a location counts its classes; without a row the defaults of the service hold.
CREATE TABLE inventory.count_schedules (
    location_id TEXT NOT NULL
  , a_days INT NOT NULL
  , b_days INT NOT NULL
  , c_days INT NOT NULL
  , CONSTRAINT count_schedules_pkey PRIMARY KEY (location_id)
  , CONSTRAINT count_schedules_location_id_fkey FOREIGN KEY (location_id) REFERENCES inventory.locations (location_id)
  , CONSTRAINT count_schedules_days_check CHECK (a_days > 0 AND b_days > 0 AND c_days > 0)
);
