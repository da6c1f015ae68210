//! The documents of a group: locked together, written together. Every transaction locks in the same order, kind
//! by kind and then holds and levels, so none waits in a circle.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::PgQueryResult};
use uuid::Uuid;

use super::{counts, inbounds, promises, transfers};
use crate::domain::{document::Documents, group::Changes};

/// The documents that a group names.
#[derive(Debug, Default)]
pub struct Named {
    pub transfers: BTreeSet<Uuid>,
    pub counts: BTreeSet<Uuid>,
    pub inbounds: BTreeSet<Uuid>,
    pub promises: BTreeSet<Uuid>,
}

/// Locks the named documents; kinds that nobody names cost nothing.
pub async fn lock_documents(conn: &mut PgConnection, named: &Named) -> Result<Documents, sqlx::Error> {
    let mut documents = Documents::default();
    if !named.transfers.is_empty() {
        let ids: Vec<Uuid> = named.transfers.iter().copied().collect();
        documents.transfers = transfers::lock_transfers(conn, &ids).await?;
    }
    if !named.counts.is_empty() {
        let ids: Vec<Uuid> = named.counts.iter().copied().collect();
        documents.counts = counts::lock_counts(conn, &ids).await?;
    }
    if !named.inbounds.is_empty() {
        let ids: Vec<Uuid> = named.inbounds.iter().copied().collect();
        documents.inbounds = inbounds::lock_inbounds(conn, &ids).await?;
    }
    if !named.promises.is_empty() {
        let ids: Vec<Uuid> = named.promises.iter().copied().collect();
        documents.promises = promises::lock_promises(conn, &ids).await?;
    }
    Ok(documents)
}

/// Writes the documents that the group changed.
pub async fn save_documents(conn: &mut PgConnection, changes: &Changes, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    if !changes.transfers.is_empty() {
        transfers::save_transfers(conn, &changes.transfers).await?;
    }
    if !changes.counts.is_empty() {
        counts::save_counts(conn, &changes.counts, now).await?;
    }
    if !changes.inbounds.is_empty() {
        inbounds::save_inbounds(conn, &changes.inbounds).await?;
    }
    if !changes.promises.is_empty() {
        promises::save_promises(conn, &changes.promises).await?;
    }
    if !changes.claims.is_empty() {
        promises::update_claims(conn, &changes.claims).await?;
    }
    if !changes.promise_holds.is_empty() {
        promises::insert_promise_holds(conn, &changes.promise_holds).await?;
    }
    Ok(())
}

/// Fails where a document was made under the same id, or changed, since it was looked for: nobody's work is written over.
/// The group runs again, and finds it.
pub(super) fn expect_all(saved: &PgQueryResult, documents: usize) -> Result<(), sqlx::Error> {
    if saved.rows_affected() as usize == documents {
        return Ok(());
    }
    Err(sqlx::Error::Protocol("a document was changed by somebody else meanwhile".to_owned()))
}
