-- When a location orders more of a SKU, and how much. Decides nothing about stock that is there, so levels have no copy.
CREATE TABLE inventory.reorder_policies (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
    -- s and S: at a position of s or less, order up to S.
  , reorder_point BIGINT NOT NULL
  , order_up_to BIGINT NOT NULL
  , pack_multiple BIGINT NOT NULL
  , lead_time_hours INT NOT NULL
  , lead_time_deviation_hours INT NOT NULL
    -- 0: looked at all the time.
  , review_days INT NOT NULL
  , service_level_basis_points INT NOT NULL
  , paused BOOLEAN NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that set it last.
  , updated_by TEXT NOT NULL
  , CONSTRAINT reorder_policies_pkey PRIMARY KEY (sku, location_id)
  , CONSTRAINT reorder_policies_location_id_fkey FOREIGN KEY (location_id) REFERENCES inventory.locations (location_id)
  , CONSTRAINT reorder_policies_units_check CHECK (
        reorder_point >= 0 AND order_up_to >= reorder_point AND pack_multiple > 0
    )
  , CONSTRAINT reorder_policies_times_check CHECK (
        lead_time_hours >= 0 AND lead_time_deviation_hours >= 0 AND review_days >= 0
    )
  , CONSTRAINT reorder_policies_service_level_check CHECK (service_level_basis_points BETWEEN 5000 AND 9999)
);

-- A location's own, in the order of the list.
CREATE INDEX reorder_policies_location_id_idx ON inventory.reorder_policies (location_id, sku);

-- Every policy that ever held: what was ordered on it is judged by it later.
CREATE TABLE inventory.reorder_policy_changes (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , version BIGINT NOT NULL
  , reorder_point BIGINT NOT NULL
  , order_up_to BIGINT NOT NULL
  , pack_multiple BIGINT NOT NULL
  , lead_time_hours INT NOT NULL
  , lead_time_deviation_hours INT NOT NULL
  , review_days INT NOT NULL
  , service_level_basis_points INT NOT NULL
  , paused BOOLEAN NOT NULL
  , changed_at TIMESTAMPTZ NOT NULL
  , changed_by TEXT NOT NULL
  , CONSTRAINT reorder_policy_changes_pkey PRIMARY KEY (sku, location_id, version)
);
