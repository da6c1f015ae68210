-- Each change of a listing wrote into them, and each acknowledgement; the question that they answered is asked by a person
-- or a dashboard now and then, and reads the channel's listings instead.
DROP INDEX channels.listings_channel_id_pending_since_idx;
DROP INDEX channels.listings_channel_id_acked_at_idx;
