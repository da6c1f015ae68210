-- How a channel chooses the locations that its orders come from. Every version stays, so that what a hold was planned by
-- can be read later, and compared.
CREATE TABLE inventory.sourcing_rules (
    channel_id TEXT NOT NULL
  , version BIGINT NOT NULL
    -- The ladder: steps with filters, order and split limits, and weights. Read whole and never searched.
  , rules JSONB NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that set it.
  , updated_by TEXT NOT NULL
  , CONSTRAINT sourcing_rules_pkey PRIMARY KEY (channel_id, version)
  , CONSTRAINT sourcing_rules_version_check CHECK (version > 0)
);

CREATE TRIGGER sourcing_rules_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON inventory.sourcing_rules
    FOR EACH STATEMENT EXECUTE FUNCTION inventory.refuse_change();

-- What fulfilment costs at a location, in minor units of the operator's currency. Beside the location, because others look
-- after it and nothing but sourcing reads it.
CREATE TABLE inventory.node_costs (
    location_id TEXT NOT NULL
    -- Each parcel; each unit picked; each kilometre begun; what a unit that stays is expected to lose.
  , parcel BIGINT NOT NULL
  , unit BIGINT NOT NULL
  , km BIGINT NOT NULL
  , markdown BIGINT NOT NULL
  , version BIGINT NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , updated_by TEXT NOT NULL
  , CONSTRAINT node_costs_pkey PRIMARY KEY (location_id)
  , CONSTRAINT node_costs_location_id_fkey FOREIGN KEY (location_id) REFERENCES inventory.locations (location_id)
  , CONSTRAINT node_costs_range_check CHECK (
        parcel BETWEEN 0 AND 1000000000
    AND unit BETWEEN 0 AND 1000000000
    AND km BETWEEN 0 AND 1000000000
    AND markdown BETWEEN 0 AND 1000000000
    )
);

-- Orders that network holds have placed with a location for a day, where its capacity is bounded.
CREATE TABLE inventory.node_days (
    location_id TEXT NOT NULL
    -- Local to the location: the day on which an order that was placed then leaves.
  , day DATE NOT NULL
  , taken INT NOT NULL
    -- As it was when a place was last taken: it may be lowered below what is taken, but no place is taken then.
  , capacity INT NOT NULL
  , CONSTRAINT node_days_pkey PRIMARY KEY (location_id, day)
  , CONSTRAINT node_days_taken_check CHECK (taken BETWEEN 0 AND capacity)
)
WITH (fillfactor = 70);
