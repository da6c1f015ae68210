//! Documents, their lines, and the entries of the statement. Every statement takes arrays.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{MemberId, Money};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::inconsistent;
use crate::domain::{Document, DocumentKind, DocumentLine, Entry, minor_per_point};

/// Reads documents; their members are locked, so nobody counts on them meanwhile.
pub(crate) async fn list_documents(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Document>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT document_id
             , member_id AS "member_id: MemberId"
             , kind
             , currency
             , amount_minor
             , points
        FROM loyalty.documents
        WHERE document_id = ANY ($1)
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let misfit = |what: &str| inconsistent("documents", row.document_id, what);
            let kind = match row.kind.as_str() {
                "sale" => DocumentKind::Sale,
                "return" => DocumentKind::Return,
                _ => return Err(misfit("unknown kind")),
            };
            let currency = row.currency.parse().map_err(|_| misfit("unknown currency"))?;
            let total = Money::new(row.amount_minor, currency);
            let document = Document { id: row.document_id, member_id: row.member_id, kind, total, points: row.points };
            Ok((row.document_id, document))
        })
        .collect()
}

/// The lines of documents that are counted, as (document, shipment, line number).
pub(crate) async fn list_counted_lines(
    conn: &mut PgConnection,
    document_ids: &[Uuid],
) -> Result<HashSet<(Uuid, i64, i32)>, sqlx::Error> {
    let rows = sqlx::query!(
        r"
        SELECT document_id
             , shipment
             , line_no
        FROM loyalty.document_lines
        WHERE document_id = ANY ($1)
        ",
        document_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.document_id, row.shipment, row.line_no)).collect())
}

/// Writes documents: new ones are inserted, known ones get their total and points. A document never changes its member:
/// if somebody made it meanwhile for another one, whose lock we do not hold, the group fails and runs again.
pub(crate) async fn upsert_documents(
    conn: &mut PgConnection,
    documents: &[&Document],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if documents.is_empty() {
        return Ok(());
    }
    let written = sqlx::query!(
        r"
        INSERT INTO loyalty.documents AS d (
            document_id
          , member_id
          , kind
          , currency
          , amount_minor
          , minor_per_point
          , points
          , created_at
          , updated_at
        )
        SELECT document_id, member_id, kind, currency, amount_minor, minor_per_point, points, $8, $8
        FROM UNNEST($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[])
            AS new (document_id, member_id, kind, currency, amount_minor, minor_per_point, points)
        ON CONFLICT (document_id) DO UPDATE
        SET amount_minor = excluded.amount_minor
          , points = excluded.points
          , updated_at = excluded.updated_at
        WHERE d.member_id = excluded.member_id
        ",
        &documents.iter().map(|document| document.id).collect::<Vec<_>>(),
        &documents.iter().map(|document| document.member_id.clone()).collect::<Vec<_>>() as &[MemberId],
        &documents.iter().map(|document| kind_name(document.kind).to_owned()).collect::<Vec<_>>(),
        &documents.iter().map(|document| document.total.currency().code().to_owned()).collect::<Vec<_>>(),
        &documents.iter().map(|document| document.total.minor()).collect::<Vec<_>>(),
        &documents.iter().map(|document| minor_per_point(document.total.currency())).collect::<Vec<_>>(),
        &documents.iter().map(|document| document.points).collect::<Vec<_>>(),
        now,
    )
    .execute(conn)
    .await?;
    if written.rows_affected() == documents.len() as u64 {
        Ok(())
    } else {
        Err(inconsistent("documents", documents[0].id, "or a later one was made for another member meanwhile"))
    }
}

/// Inserts lines. The primary key is the second guard of "one earn per line".
pub(crate) async fn insert_lines(conn: &mut PgConnection, lines: &[DocumentLine]) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r"
        INSERT INTO loyalty.document_lines (
            document_id
          , shipment
          , line_no
          , amount_minor
        )
        SELECT *
        FROM UNNEST($1::UUID[], $2::BIGINT[], $3::INTEGER[], $4::BIGINT[])
        ",
        &lines.iter().map(|line| line.document_id).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.shipment).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.line_no).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.amount_minor).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Appends entries in the order they were decided.
pub(crate) async fn insert_entries(conn: &mut PgConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r"
        INSERT INTO loyalty.points_entries (
            member_id
          , document_id
          , reason
          , points
          , effective_at
          , recorded_at
        )
        SELECT member_id, document_id, reason, points, effective_at, recorded_at
        FROM UNNEST($1::TEXT[], $2::UUID[], $3::TEXT[], $4::BIGINT[], $5::TIMESTAMPTZ[], $6::TIMESTAMPTZ[])
            WITH ORDINALITY AS entry (member_id, document_id, reason, points, effective_at, recorded_at, nth)
        ORDER BY nth
        ",
        &entries.iter().map(|entry| entry.member_id.clone()).collect::<Vec<_>>() as &[MemberId],
        &entries.iter().map(|entry| entry.document_id).collect::<Vec<_>>(),
        &entries.iter().map(|entry| reason_name(entry.kind).to_owned()).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.points).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.effective_at).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.recorded_at).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// One page of a member's statement, newest first: entries below `before`, each with its sequence.
pub(crate) async fn list_entries(
    pool: &PgPool,
    member_id: &MemberId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<(i64, Entry)>, sqlx::Error> {
    let rows = sqlx::query!(
        r"
        SELECT sequence
             , document_id
             , reason
             , points
             , effective_at
             , recorded_at
        FROM loyalty.points_entries
        WHERE member_id = $1
          AND ($2::BIGINT IS NULL OR sequence < $2)
        ORDER BY sequence DESC
        LIMIT $3
        ",
        member_id.as_str(),
        before,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = match row.reason.as_str() {
                "earn" => DocumentKind::Sale,
                "take_back" => DocumentKind::Return,
                _ => return Err(inconsistent("points_entries", row.sequence, "unknown reason")),
            };
            let entry = Entry {
                member_id: member_id.clone(),
                document_id: row.document_id,
                kind,
                points: row.points,
                effective_at: row.effective_at,
                recorded_at: row.recorded_at,
            };
            Ok((row.sequence, entry))
        })
        .collect()
}

fn kind_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Sale => "sale",
        DocumentKind::Return => "return",
    }
}

fn reason_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Sale => "earn",
        DocumentKind::Return => "take_back",
    }
}
