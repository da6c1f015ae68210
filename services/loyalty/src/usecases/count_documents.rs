//! Counts points for goods that were shipped, sold or returned. A group of deliveries costs the same statements as one:
//!
//! | round trip | why |
//! |---|---|
//! | make rows for members nobody knows; lock all, in member order | the gate of everything below |
//! | documents and their counted lines | read under the lock |
//! | documents, lines, entries, members | array statements, skipped when empty |

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_values::MemberId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;
use crate::{
    domain::{Counted, Delivery, Document, Member},
    store::{documents, members},
};

/// Applies deliveries, in order, in the consumer's transaction. Lines that were counted before change nothing.
pub(crate) async fn count_documents(
    conn: &mut PgConnection,
    deliveries: &[Delivery],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let member_ids: BTreeSet<MemberId> = deliveries.iter().map(|delivery| delivery.member_id.clone()).collect();
    let document_ids: BTreeSet<Uuid> = deliveries.iter().map(|delivery| delivery.document_id).collect();
    let document_ids: Vec<Uuid> = document_ids.into_iter().collect();
    let mut members: HashMap<MemberId, Member> = members::lock_members(conn, &member_ids, now).await?;
    let mut known: HashMap<Uuid, Document> = documents::list_documents(conn, &document_ids).await?;
    let mut counted = documents::list_counted_lines(conn, &document_ids).await?;

    let (mut lines, mut entries) = (Vec::new(), Vec::new());
    let (mut changed_documents, mut changed_members) = (BTreeSet::new(), BTreeSet::new());
    for delivery in deliveries {
        let document = known.entry(delivery.document_id).or_insert_with(|| Document::new(delivery));
        let member = members
            .get_mut(&delivery.member_id)
            .ok_or_else(|| Error::MemberNotFound { member_id: delivery.member_id.clone() })?;
        let is_known = |shipment, line_no| counted.contains(&(delivery.document_id, shipment, line_no));
        let Counted { lines: new, entry } = document.count(member, delivery, is_known, now)?;
        if !new.is_empty() {
            changed_documents.insert(document.id);
        }
        counted.extend(new.iter().map(|line| (line.document_id, line.shipment, line.line_no)));
        lines.extend(new);
        if let Some(entry) = entry {
            changed_members.insert(entry.member_id.clone());
            entries.push(entry);
        }
    }

    let changed: Vec<&Document> = changed_documents.iter().map(|id| &known[id]).collect();
    documents::upsert_documents(conn, &changed, now).await?;
    documents::insert_lines(conn, &lines).await?;
    documents::insert_entries(conn, &entries).await?;
    let changed: Vec<&Member> = changed_members.iter().map(|id| &members[id]).collect();
    members::update_members(conn, &changed, now).await?;
    Ok(())
}
