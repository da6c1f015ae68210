//! Takes over what channels sell from, as the registry says.

use sqlx::PgConnection;

use crate::store;

/// A channel as the registry announced it: id, locations, version.
pub type ChannelRecord = (String, Vec<String>, i64);

/// Newer wins, older and repeated changes nothing. Part of the consumer's transaction.
pub async fn take_channels(conn: &mut PgConnection, records: &[ChannelRecord]) -> Result<(), sqlx::Error> {
    store::channels::upsert_channels(conn, records).await
}
