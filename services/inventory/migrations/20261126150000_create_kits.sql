-- SKUs that are sold as a whole and lie on no shelf: so many units of each component. A kit stays one for good.
CREATE TABLE inventory.kits (
    kit_sku TEXT NOT NULL
    -- Rises by one with each definition.
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that defined it last.
  , updated_by TEXT NOT NULL
  , CONSTRAINT kits_pkey PRIMARY KEY (kit_sku)
);

-- The definition that holds now.
CREATE TABLE inventory.kit_components (
    kit_sku TEXT NOT NULL
  , component_sku TEXT NOT NULL
    -- Of the component, in one kit.
  , units BIGINT NOT NULL
  , CONSTRAINT kit_components_pkey PRIMARY KEY (kit_sku, component_sku)
  , CONSTRAINT kit_components_kit_sku_fkey FOREIGN KEY (kit_sku) REFERENCES inventory.kits (kit_sku)
  , CONSTRAINT kit_components_units_check CHECK (units BETWEEN 1 AND 1000000)
);

CREATE INDEX kit_components_component_sku_idx ON inventory.kit_components (component_sku);

-- Every definition that ever held: what a held kit is judged by later.
CREATE TABLE inventory.kit_changes (
    kit_sku TEXT NOT NULL
  , version BIGINT NOT NULL
    -- Component to units.
  , components JSONB NOT NULL
  , changed_at TIMESTAMPTZ NOT NULL
  , changed_by TEXT NOT NULL
  , CONSTRAINT kit_changes_pkey PRIMARY KEY (kit_sku, version)
);

-- What was announced last of a kit at a location. Whoever changes a component's level there locks this row after all
-- levels, so the changes of two components are announced one after the other, each seeing the other.
CREATE TABLE inventory.kit_levels (
    kit_sku TEXT NOT NULL
  , location_id TEXT NOT NULL
    -- Goes on from where the SKU's own level was, if it had one: consumers order events by it.
  , version BIGINT NOT NULL
  , available BIGINT NOT NULL
    -- Channel to units, where it is not `available`.
  , channels JSONB NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT kit_levels_pkey PRIMARY KEY (kit_sku, location_id)
  , CONSTRAINT kit_levels_kit_sku_fkey FOREIGN KEY (kit_sku) REFERENCES inventory.kits (kit_sku)
  , CONSTRAINT kit_levels_available_check CHECK (available >= 0)
)
WITH (fillfactor = 70);

ALTER TABLE inventory.stock_levels
    -- Of a kit: there is never anything here.
    ADD COLUMN kit BOOLEAN NOT NULL DEFAULT FALSE
  , ADD CONSTRAINT stock_levels_kit_check CHECK (
        NOT kit
     OR (sellable = 0 AND damaged = 0 AND quarantine = 0 AND soft_held = 0 AND hard_held = 0)
    ) NOT VALID;

ALTER TABLE inventory.hold_lines
    -- Which of the hold's kits the line is part of, counted from 0; NULL: it was asked for by itself.
    ADD COLUMN kit_no INT NULL
  , ADD COLUMN kit_sku TEXT NULL
  , ADD COLUMN kit_version BIGINT NULL
    -- Units of the line in one kit.
  , ADD COLUMN kit_units BIGINT NULL
    -- Kits that were left after this one was granted.
  , ADD COLUMN kit_available BIGINT NULL
  , ADD CONSTRAINT hold_lines_kit_check CHECK (
        (kit_no IS NULL) = (kit_sku IS NULL)
    AND (kit_no IS NULL) = (kit_version IS NULL)
    AND (kit_no IS NULL) = (kit_units IS NULL)
    AND (kit_no IS NULL) = (kit_available IS NULL)
    AND (kit_no IS NULL OR (kit_units > 0 AND requested % kit_units = 0 AND held % kit_units = 0 AND committed % kit_units = 0))
    ) NOT VALID;
