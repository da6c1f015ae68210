//! Places that hold stock.

use chrono::{DateTime, Utc};
use oneshelf_values::LocationId;
use sqlx::{PgConnection, PgPool};

use super::{Inconsistency, parse};
use crate::domain::location::{Location, LocationKind};

struct LocationRow {
    location_id: String,
    kind: String,
    title: String,
    oversell_facts: bool,
    version: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<LocationRow> for Location {
    type Error = sqlx::Error;

    fn try_from(row: LocationRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            location_id: parse("locations", "location_id", &row.location_id)?,
            kind: LocationKind::parse(&row.kind).ok_or(Inconsistency {
                table: "locations",
                column: "kind",
                key: row.location_id,
                value: row.kind,
            })?,
            title: row.title,
            oversell_facts: row.oversell_facts,
            version: row.version,
            created_at: row.created_at,
        })
    }
}

/// Inserts a location; `false` when the id is taken.
pub async fn insert_location(conn: &mut PgConnection, location: &Location) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO inventory.locations (
            location_id
          , kind
          , title
          , oversell_facts
          , version
          , created_at
        )
        VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (location_id) DO NOTHING
        "#,
        location.location_id.as_str(),
        location.kind.as_str(),
        location.title,
        location.oversell_facts,
        location.version,
        location.created_at,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub async fn find_location(conn: &mut PgConnection, location_id: &LocationId) -> Result<Option<Location>, sqlx::Error> {
    sqlx::query_as!(
        LocationRow,
        r#"
        SELECT location_id
             , kind
             , title
             , oversell_facts
             , version
             , created_at
          FROM inventory.locations
         WHERE location_id = $1
        "#,
        location_id.as_str(),
    )
    .fetch_optional(conn)
    .await?
    .map(Location::try_from)
    .transpose()
}

/// Which of these locations exist.
pub async fn list_existing_locations(
    conn: &mut PgConnection,
    location_ids: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT location_id
          FROM inventory.locations
         WHERE location_id = ANY ($1)
        "#,
        location_ids as &[&str],
    )
    .fetch_all(conn)
    .await
}

/// Reads a page by id, after `after`.
pub async fn list_locations(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<Location>, sqlx::Error> {
    sqlx::query_as!(
        LocationRow,
        r#"
        SELECT location_id
             , kind
             , title
             , oversell_facts
             , version
             , created_at
          FROM inventory.locations
         WHERE location_id > $1
         ORDER BY location_id
         LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Location::try_from)
    .collect()
}
