ALTER TABLE inventory.stock_levels VALIDATE CONSTRAINT stock_levels_kit_check;
ALTER TABLE inventory.hold_lines VALIDATE CONSTRAINT hold_lines_kit_check;
