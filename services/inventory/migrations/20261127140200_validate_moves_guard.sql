ALTER TABLE inventory.holds VALIDATE CONSTRAINT holds_moves_check;
