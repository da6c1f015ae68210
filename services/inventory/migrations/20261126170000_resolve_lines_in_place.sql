-- All lines of a hold are resolved at once, so a page needs room for a second version of many: half of them found none.
ALTER TABLE inventory.hold_lines SET (fillfactor = 65);
