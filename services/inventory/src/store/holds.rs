//! Units promised to somebody.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{
    ChannelId, Hold, HoldId, HoldState, HoldTerms, PartnerId, ShopperId,
    hold::{LineSplit, Standing},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Inconsistency, grants::GrantedColumns, parse, sourcing::SourcedRow};
use crate::domain::{
    group::Moved,
    hold::{GrantedLine, HoldLine, KitLine, KitPart, StockHold},
    lot::LotNumber,
    stock_level::LevelKey,
};

struct HoldRow {
    hold_id: Uuid,
    kind: String,
    state: String,
    channel_id: Option<String>,
    partner_id: Option<String>,
    shopper_id: Option<String>,
    held_since: Option<DateTime<Utc>>,
    reference: String,
    fingerprint: Vec<u8>,
    granted_until: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    sourcing: Option<Json<SourcedRow>>,
    granted_lines: Option<Json<Vec<GrantedLineRow>>>,
    moves: i32,
}

/// SKU, location, requested, held, available, version: a line as it was first granted.
pub(super) type GrantedLineRow = (String, String, i64, i64, i64, i64);

struct LineRow {
    hold_id: Uuid,
    sku: String,
    location_id: String,
    requested: i64,
    held: i64,
    committed: i64,
    available: i64,
    granted_version: i64,
    kit_no: Option<i32>,
    kit_sku: Option<String>,
    kit_version: Option<i64>,
    kit_units: Option<i64>,
    kit_available: Option<i64>,
    lots: Option<Json<Vec<(String, i64)>>>,
}

impl LineRow {
    /// The kit that the line is part of, if any, and its own place in it.
    fn kit(&self) -> Result<Option<(KitPart, KitLine)>, sqlx::Error> {
        let (Some(kit), Some(sku), Some(version), Some(units), Some(available)) =
            (self.kit_no, &self.kit_sku, self.kit_version, self.kit_units, self.kit_available)
        else {
            return Ok(None);
        };
        let key = LevelKey {
            sku: parse("hold_lines", "kit_sku", sku)?,
            location: parse("hold_lines", "location_id", &self.location_id)?,
        };
        let part = KitPart { kit: kit as usize, units };
        Ok(Some((part, KitLine { key, version, requested: self.requested / units, available })))
    }
}

fn unfit(column: &'static str, hold_id: Uuid, value: &str) -> sqlx::Error {
    Inconsistency { table: "holds", column, key: hold_id.to_string(), value: value.to_owned() }.into()
}

fn hold_from(row: HoldRow, lines: Vec<LineRow>) -> Result<StockHold, sqlx::Error> {
    let id = row.hold_id;
    let terms = match (row.kind.as_str(), row.expires_at) {
        ("soft", Some(expires_at)) => HoldTerms::Soft { expires_at },
        ("hard", None) => HoldTerms::Hard,
        _ => return Err(unfit("kind", id, &row.kind)),
    };
    let standing: Standing = row.state.parse().map_err(|_| unfit("state", id, &row.state))?;
    let state = match (standing, row.resolved_at) {
        (Standing::Held, None) => HoldState::Held,
        (Standing::Committed, Some(at)) => {
            HoldState::Committed { at, amounts: lines.iter().map(|line| line.committed).collect() }
        }
        (Standing::Released, Some(at)) => HoldState::Released { at },
        (Standing::Expired, Some(at)) => HoldState::Expired { at },
        _ => return Err(unfit("resolved_at", id, &row.state)),
    };
    let granted = lines.iter().map(|line| line.held).collect();
    let mut kits: Vec<KitLine> = Vec::new();
    let mut parts = Vec::with_capacity(lines.len());
    for line in &lines {
        let kit = line.kit()?;
        parts.push(kit.as_ref().map(|(part, _)| *part));
        // The lines of a kit stand together, and kits in the order of their numbers.
        kits.extend(kit.filter(|(part, _)| part.kit == kits.len()).map(|(_, kit)| kit));
    }
    Ok(StockHold {
        hold_id: HoldId::from(id),
        promise: Hold::restore(terms, granted, state).map_err(|wrong| unfit("state", id, wrong.0))?,
        lines: lines
            .into_iter()
            .zip(parts)
            .map(|(line, part_of)| {
                Ok(HoldLine {
                    key: LevelKey {
                        sku: parse("hold_lines", "sku", &line.sku)?,
                        location: parse("hold_lines", "location_id", &line.location_id)?,
                    },
                    requested: line.requested,
                    available: line.available,
                    granted_version: line.granted_version,
                    part_of,
                    lots: lots(line.lots)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()?,
        kits,
        channel: optional::<ChannelId>("channel_id", row.channel_id)?,
        partner: optional::<PartnerId>("partner_id", row.partner_id)?,
        shopper: optional::<ShopperId>("shopper_id", row.shopper_id)?,
        since: row.held_since.unwrap_or(row.created_at),
        reference: row.reference,
        fingerprint: row.fingerprint.try_into().map_err(|_| unfit("fingerprint", id, "not 32 bytes"))?,
        granted_until: row.granted_until,
        created_at: row.created_at,
        sourced: row.sourcing.map(|Json(row)| row.try_into().map(Box::new)).transpose()?,
        first_lines: row.granted_lines.map(|Json(rows)| rows.into_iter().map(granted_line).collect()).transpose()?,
        moves: row.moves,
    })
}

fn lots(stored: Option<Json<Vec<(String, i64)>>>) -> Result<Vec<(LotNumber, i64)>, sqlx::Error> {
    let stored = stored.into_iter().flat_map(|Json(lots)| lots);
    stored.map(|(lot, units)| Ok((parse("hold_lines", "lots", &lot)?, units))).collect()
}

pub(super) fn granted_line(row: GrantedLineRow) -> Result<GrantedLine, sqlx::Error> {
    let (sku, location, requested, held, available, granted_version) = row;
    let key =
        LevelKey { sku: parse("holds", "granted_lines", &sku)?, location: parse("holds", "granted_lines", &location)? };
    // Only holds of plain SKUs move.
    let line = HoldLine { key, requested, available, granted_version, part_of: None, lots: Vec::new() };
    Ok(GrantedLine { line, held })
}

pub(super) fn granted_line_row(line: &HoldLine, held: i64) -> GrantedLineRow {
    let (sku, location) = (line.key.sku.to_string(), line.key.location.to_string());
    (sku, location, line.requested, held, line.available, line.granted_version)
}

fn optional<T: std::str::FromStr>(column: &'static str, value: Option<String>) -> Result<Option<T>, sqlx::Error> {
    value.map(|value| parse("holds", column, &value)).transpose()
}

/// The lines of holds as rows: id, place, line, and where its units are.
fn flatten<'a>(
    holds: impl IntoIterator<Item = &'a StockHold>,
    now: DateTime<Utc>,
) -> Vec<(Uuid, i32, &'a HoldLine, LineSplit)> {
    holds
        .into_iter()
        .flat_map(|hold| {
            hold.lines.iter().enumerate().map(move |(place, line)| {
                (Uuid::from(hold.hold_id), place as i32, line, hold.promise.split(place, now))
            })
        })
        .collect()
}

/// Locks holds in id order, with their lines. Unknown ids are missing from the answer.
pub async fn lock_holds(conn: &mut PgConnection, hold_ids: &[Uuid]) -> Result<HashMap<HoldId, StockHold>, sqlx::Error> {
    let rows = sqlx::query_as!(
        HoldRow,
        r#"
        SELECT hold_id
             , kind
             , state
             , channel_id
             , partner_id
             , shopper_id
             , held_since
             , reference
             , fingerprint
             , granted_until
             , expires_at
             , created_at
             , resolved_at
             , sourcing AS "sourcing: Json<SourcedRow>"
             , granted_lines AS "granted_lines: Json<Vec<GrantedLineRow>>"
             , moves
          FROM inventory.holds
         WHERE hold_id = ANY ($1)
         ORDER BY hold_id
           FOR UPDATE
        "#,
        hold_ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    attach_lines(conn, rows).await
}

/// Reads one hold as it stands.
pub async fn find_hold(conn: &mut PgConnection, hold_id: HoldId) -> Result<Option<StockHold>, sqlx::Error> {
    let rows = sqlx::query_as!(
        HoldRow,
        r#"
        SELECT hold_id
             , kind
             , state
             , channel_id
             , partner_id
             , shopper_id
             , held_since
             , reference
             , fingerprint
             , granted_until
             , expires_at
             , created_at
             , resolved_at
             , sourcing AS "sourcing: Json<SourcedRow>"
             , granted_lines AS "granted_lines: Json<Vec<GrantedLineRow>>"
             , moves
          FROM inventory.holds
         WHERE hold_id = $1
        "#,
        Uuid::from(hold_id),
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(attach_lines(conn, rows).await?.remove(&hold_id))
}

async fn attach_lines(conn: &mut PgConnection, rows: Vec<HoldRow>) -> Result<HashMap<HoldId, StockHold>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.hold_id).collect();
    let mut lines: HashMap<Uuid, Vec<LineRow>> = HashMap::with_capacity(ids.len());
    let line_rows = sqlx::query_as!(
        LineRow,
        r#"
        SELECT hold_id
             , sku
             , location_id
             , requested
             , held
             , committed
             , available
             , granted_version
             , kit_no
             , kit_sku
             , kit_version
             , kit_units
             , kit_available
             , lots AS "lots: Json<Vec<(String, i64)>>"
          FROM inventory.hold_lines
         WHERE hold_id = ANY ($1)
         ORDER BY hold_id
                , line_no
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in line_rows {
        lines.entry(row.hold_id).or_default().push(row);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines.remove(&row.hold_id).unwrap_or_default();
            hold_from(row, lines).map(|hold| (hold.hold_id, hold))
        })
        .collect()
}

/// Writes the state of holds that this transaction locked and changed: resolved ones with their lines, extended ones
/// with their new expiry.
pub async fn update_holds(
    conn: &mut PgConnection,
    holds: &[StockHold],
    version_of: impl Fn(&LevelKey) -> i64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.holds
           SET state = changed.state
             , expires_at = changed.expires_at
             , resolved_at = changed.resolved_at
          FROM UNNEST($1::UUID[], $2::TEXT[], $3::TIMESTAMPTZ[], $4::TIMESTAMPTZ[])
               AS changed (hold_id, state, expires_at, resolved_at)
         WHERE holds.hold_id = changed.hold_id
        "#,
        &holds.iter().map(|hold| Uuid::from(hold.hold_id)).collect::<Vec<_>>(),
        &holds.iter().map(|hold| hold.promise.standing(hold.created_at).as_str()).collect::<Vec<_>>() as &[&str],
        &holds.iter().map(StockHold::expires_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &holds.iter().map(|hold| hold.promise.resolved_at()).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(&mut *conn)
    .await?;

    let lines = flatten(holds.iter().filter(|hold| hold.promise.resolved_at().is_some()), now);
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        UPDATE inventory.hold_lines
           SET committed = changed.committed
             , resolved_version = changed.resolved_version
          FROM UNNEST($1::UUID[], $2::INT[], $3::BIGINT[], $4::BIGINT[])
               AS changed (hold_id, line_no, committed, resolved_version)
         WHERE hold_lines.hold_id = changed.hold_id
           AND hold_lines.line_no = changed.line_no
        "#,
        &lines.iter().map(|line| line.0).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.1).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.3.committed).collect::<Vec<_>>(),
        &lines.iter().map(|line| version_of(&line.2.key)).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the lines of holds whose units moved, and what they were at first.
pub async fn replace_moved_lines(conn: &mut PgConnection, holds: &[StockHold]) -> Result<(), sqlx::Error> {
    let first = |hold: &StockHold| -> Vec<GrantedLineRow> {
        hold.first_lines.iter().flatten().map(|first| granted_line_row(&first.line, first.held)).collect()
    };
    sqlx::query!(
        r#"
        UPDATE inventory.holds
           SET granted_lines = moved.granted_lines
             , sourcing = moved.sourcing
             , moves = moved.moves
          FROM UNNEST($1::UUID[], $2::JSONB[], $3::JSONB[], $4::INT[]) AS moved (hold_id, granted_lines, sourcing, moves)
         WHERE holds.hold_id = moved.hold_id
        "#,
        &holds.iter().map(|hold| Uuid::from(hold.hold_id)).collect::<Vec<_>>(),
        &holds.iter().map(|hold| Json(first(hold))).collect::<Vec<_>>() as &[Json<Vec<GrantedLineRow>>],
        &holds.iter().map(|hold| hold.sourced.as_deref().map(|sourced| Json(sourced.into()))).collect::<Vec<_>>()
            as &[Option<Json<SourcedRow>>],
        &holds.iter().map(|hold| hold.moves).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;

    let lines = GrantedColumns::of(holds);
    sqlx::query!(
        r#"
        INSERT INTO inventory.hold_lines (
            hold_id
          , line_no
          , sku
          , location_id
          , requested
          , held
          , available
          , granted_version
        )
        SELECT *
          FROM UNNEST(
                   $1::UUID[]
                 , $2::INT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::BIGINT[]
                 , $6::BIGINT[]
                 , $7::BIGINT[]
                 , $8::BIGINT[]
               )
            ON CONFLICT (hold_id, line_no) DO UPDATE
           SET location_id = EXCLUDED.location_id
             , requested = EXCLUDED.requested
             , held = EXCLUDED.held
             , available = EXCLUDED.available
             , granted_version = EXCLUDED.granted_version
        "#,
        &lines.hold_ids,
        &lines.places,
        &lines.skus as &[&str],
        &lines.locations as &[&str],
        &lines.requested,
        &lines.held,
        &lines.available,
        &lines.versions,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down which units went where.
pub async fn insert_moves(conn: &mut PgConnection, moves: &[Moved], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.hold_moves (
            move_id
          , line_no
          , hold_id
          , sku
          , source_location_id
          , target_location_id
          , quantity
          , moved_by
          , moved_at
        )
        SELECT move_id
             , line_no
             , hold_id
             , sku
             , source_location_id
             , target_location_id
             , quantity
             , moved_by
             , $9
          FROM UNNEST(
                   $1::UUID[]
                 , $2::INT[]
                 , $3::UUID[]
                 , $4::TEXT[]
                 , $5::TEXT[]
                 , $6::TEXT[]
                 , $7::BIGINT[]
                 , $8::TEXT[]
               ) AS moved (
                   move_id
                 , line_no
                 , hold_id
                 , sku
                 , source_location_id
                 , target_location_id
                 , quantity
                 , moved_by
               )
        "#,
        &moves.iter().map(|one| one.move_id).collect::<Vec<_>>(),
        &moves.iter().map(|one| one.line as i32).collect::<Vec<_>>(),
        &moves.iter().map(|one| Uuid::from(one.hold_id)).collect::<Vec<_>>(),
        &moves.iter().map(|one| one.from.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &moves.iter().map(|one| one.from.location.as_str()).collect::<Vec<_>>() as &[&str],
        &moves.iter().map(|one| one.to.as_str()).collect::<Vec<_>>() as &[&str],
        &moves.iter().map(|one| one.units).collect::<Vec<_>>(),
        &moves.iter().map(|one| one.by.as_str()).collect::<Vec<_>>() as &[&str],
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ids of live soft holds that are past their time, oldest first.
pub async fn list_expired_holds(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT hold_id
          FROM inventory.holds
         WHERE state = 'held'
           AND kind = 'soft'
           AND expires_at <= $1
         ORDER BY expires_at
         LIMIT $2
        "#,
        now,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Which of these hold ids exist.
pub async fn any_hold_exists(conn: &mut PgConnection, hold_ids: &[Uuid]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT 1
              FROM inventory.holds
             WHERE hold_id = ANY ($1)
        ) AS "exists!"
        "#,
        hold_ids,
    )
    .fetch_one(conn)
    .await
}
