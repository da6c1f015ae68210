-- Orders hear of it when their units go elsewhere, and keep what the newest move says.
ALTER TABLE inventory.holds
    -- How often units of the hold were moved to other locations.
    ADD COLUMN moves INT NOT NULL DEFAULT 0
  , ADD CONSTRAINT holds_moves_check CHECK (moves >= 0) NOT VALID;
