ALTER TABLE inventory.locations
    ADD COLUMN state TEXT NOT NULL DEFAULT 'active'
  , ADD COLUMN gln TEXT NULL
    -- WGS 84, in millionths of a degree.
  , ADD COLUMN latitude INT NULL
  , ADD COLUMN longitude INT NULL
  , ADD COLUMN country_code TEXT NULL
  , ADD COLUMN zone_id TEXT NULL
    -- {"time_zone", "hours": [[weekday 1–7, opens, closes], …], "closed_days": […], "ship_cut_off"}, minutes of the local
    -- day. NULL: around the clock. Read whole and never searched, so one column.
  , ADD COLUMN calendar JSONB NULL
  , ADD COLUMN can_ship BOOLEAN NOT NULL DEFAULT TRUE
  , ADD COLUMN can_pickup BOOLEAN NOT NULL DEFAULT FALSE
  , ADD COLUMN can_return BOOLEAN NOT NULL DEFAULT TRUE
  , ADD COLUMN can_transfer BOOLEAN NOT NULL DEFAULT TRUE
    -- Orders a day; NULL: no bound.
  , ADD COLUMN daily_capacity INT NULL
    -- Lower comes first.
  , ADD COLUMN priority INT NOT NULL DEFAULT 0
    -- NULL: ours.
  , ADD COLUMN owner_id TEXT NULL
    -- Some levels still have a copy of an older state; whoever finds this set goes on.
  , ADD COLUMN levels_behind BOOLEAN NOT NULL DEFAULT FALSE
  , ADD COLUMN updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
  , DROP CONSTRAINT locations_kind_check
  , ADD CONSTRAINT locations_kind_check CHECK (
        kind IN ('warehouse', 'store', 'dealer', 'third_party', 'vendor', 'virtual')
    )
  , ADD CONSTRAINT locations_state_check CHECK (state IN ('active', 'inactive', 'closed'))
  , ADD CONSTRAINT locations_gln_check CHECK (gln ~ '^[0-9]{13}$')
  , ADD CONSTRAINT locations_coordinates_check CHECK (
        (latitude IS NULL) = (longitude IS NULL)
    AND latitude BETWEEN -90000000 AND 90000000
    AND longitude BETWEEN -180000000 AND 180000000
    )
  , ADD CONSTRAINT locations_country_code_check CHECK (country_code ~ '^[A-Z]{2}$')
  , ADD CONSTRAINT locations_daily_capacity_check CHECK (daily_capacity >= 0)
  , ADD CONSTRAINT locations_priority_check CHECK (priority >= 0);

UPDATE inventory.locations
   SET updated_at = created_at
     , can_pickup = kind = 'store';

CREATE INDEX locations_levels_behind_idx ON inventory.locations (location_id) WHERE levels_behind;

-- Copies of the location's state: a hold is decided on the locked row of its level alone.
ALTER TABLE inventory.stock_levels
    ADD COLUMN location_active BOOLEAN NOT NULL DEFAULT TRUE
  , ADD COLUMN location_closed BOOLEAN NOT NULL DEFAULT FALSE
  , ADD CONSTRAINT stock_levels_location_check CHECK (NOT (location_active AND location_closed))
    -- A closed location promises nothing and takes nothing in; a till's late sale may still be booked.
  , ADD CONSTRAINT stock_levels_closed_check CHECK (
        NOT location_closed
     OR (sellable <= 0 AND damaged <= 0 AND quarantine <= 0 AND soft_held = 0 AND hard_held = 0)
    );
