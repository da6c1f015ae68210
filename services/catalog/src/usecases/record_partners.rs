//! Keeps what quotes need to know of partners, from their events. The newer record wins, however late the older comes.

use sqlx::PgConnection;

use super::Error;
use crate::{
    domain::partner::{Partner, newest},
    store::{
        heads::{Head, advance_head},
        partners,
    },
};

/// Within the consumer's transaction; the poll brings the board up to it.
pub async fn record_partners(conn: &mut PgConnection, records: Vec<Partner>) -> Result<(), Error> {
    let records = newest(records);
    if records.is_empty() {
        return Ok(());
    }
    let head = advance_head(conn, Head::Partners).await?;
    partners::save_newer_partners(conn, &records, head).await?;
    Ok(())
}
