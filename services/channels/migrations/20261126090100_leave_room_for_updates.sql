-- Facts and channels are updated in place all day: room on the page keeps those updates off the indexes. Takes effect on
-- pages filled from now on.
ALTER TABLE channels.stock_facts SET (fillfactor = 70);
ALTER TABLE channels.channels SET (fillfactor = 50);
