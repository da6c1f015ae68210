ALTER TABLE catalog.prices VALIDATE CONSTRAINT prices_min_quantity_check;
