//! Lots and serial numbers. What a level has of them changes under the level's lock only.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{LocationId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::{Inconsistency, ledger::StoredMovement, parse};
use crate::domain::{
    lot::{KnownLot, LotLevel, LotNumber, Lots, Tracking, TrackingKind, TrackingTerms},
    policy::Audit,
    stock_level::{Bucket, LevelKey},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TrackingRow {
    sku: String,
    kind: String,
    shelf_life_days: i64,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

impl From<&Tracking> for TrackingRow {
    fn from(tracking: &Tracking) -> Self {
        Self {
            sku: tracking.sku.to_string(),
            kind: tracking.terms.kind.as_str().to_owned(),
            shelf_life_days: tracking.terms.shelf_life_days,
            version: tracking.audit.version,
            created_at: tracking.audit.created_at,
            updated_at: tracking.audit.updated_at,
            updated_by: tracking.audit.updated_by.clone(),
        }
    }
}

impl TryFrom<TrackingRow> for Tracking {
    type Error = sqlx::Error;

    fn try_from(row: TrackingRow) -> Result<Self, sqlx::Error> {
        let unfit = |value: &str| Inconsistency {
            table: "sku_tracking",
            column: "kind",
            key: row.sku.clone(),
            value: value.to_owned(),
        };
        Ok(Self {
            sku: parse("sku_tracking", "sku", &row.sku)?,
            terms: TrackingTerms {
                kind: TrackingKind::parse(&row.kind).ok_or_else(|| unfit(&row.kind))?,
                shelf_life_days: row.shelf_life_days,
            },
            audit: Audit {
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
                updated_by: row.updated_by,
            },
        })
    }
}

fn bucket(stored: &str) -> Result<Bucket, sqlx::Error> {
    let unfit =
        || Inconsistency { table: "lot_levels", column: "bucket", key: String::new(), value: stored.to_owned() };
    Ok(Bucket::parse(stored).ok_or_else(unfit)?)
}

/// The lots of levels of tracked SKUs. With `live`, what holds have that are past their time then counts as free.
pub async fn list_lots(
    conn: &mut PgConnection,
    keys: &[&LevelKey],
    live: Option<DateTime<Utc>>,
) -> Result<HashMap<LevelKey, Lots>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip();
    let rows = sqlx::query!(
        r#"
        WITH expired AS (
            SELECT hold_lines.sku
                 , hold_lines.location_id
                 , part ->> 0 AS lot
                 , SUM((part ->> 1)::BIGINT)::BIGINT AS held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             CROSS JOIN LATERAL jsonb_array_elements(hold_lines.lots) AS part
             WHERE holds.state = 'held'
               AND holds.kind = 'soft'
               AND holds.expires_at <= $3
               AND hold_lines.lots IS NOT NULL
             GROUP BY 1
                    , 2
                    , 3
        )
        SELECT ordinality AS "ordinality!"
             , bucket AS "bucket!"
             , lot AS "lot!"
             , expires_on
             , quantity AS "quantity!"
             , lot_levels.held - CASE WHEN bucket = 'sellable' THEN COALESCE(expired.held, 0) ELSE 0 END AS "held!"
             , told AS "told!"
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
          JOIN inventory.lot_levels USING (sku, location_id)
          LEFT JOIN expired USING (sku, location_id, lot)
        "#,
        &skus as &[&str],
        &locations as &[&str],
        live,
    )
    .fetch_all(conn)
    .await?;
    let mut lots: HashMap<LevelKey, Vec<LotLevel>> = HashMap::new();
    for row in rows {
        lots.entry(keys[row.ordinality as usize - 1].clone()).or_default().push(LotLevel {
            bucket: bucket(&row.bucket)?,
            lot: parse("lot_levels", "lot", &row.lot)?,
            expires_on: row.expires_on,
            quantity: row.quantity,
            held: row.held,
            told: row.told,
            changed: false,
        });
    }
    Ok(lots.into_iter().map(|(key, lots)| (key, Lots::new(lots))).collect())
}

/// What is known of lots that are named, wherever they are.
#[expect(clippy::implicit_hasher, reason = "the one set it is given is the group's own")]
pub async fn find_lots(
    conn: &mut PgConnection,
    named: &HashSet<(Sku, LotNumber)>,
) -> Result<HashMap<(Sku, LotNumber), KnownLot>, sqlx::Error> {
    let named: Vec<&(Sku, LotNumber)> = named.iter().collect();
    let rows = sqlx::query!(
        r#"
        SELECT ordinality AS "ordinality!"
             , lots.expires_on
             , serials.location_id AS "location_id?"
             , serials.bucket AS "bucket?"
             , (
                   SELECT transfers.destination_location_id
                     FROM inventory.transfer_lines
                     JOIN inventory.transfers USING (transfer_id)
                    WHERE transfer_lines.in_transit > 0
                      AND transfer_lines.sku = wanted.sku
                      AND EXISTS (
                              SELECT 1
                                FROM jsonb_array_elements(transfer_lines.lots) AS sent
                               WHERE sent ->> 0 = wanted.lot
                          )
                    LIMIT 1
               ) AS in_transit
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, lot, ordinality)
          JOIN inventory.lots USING (sku, lot)
          LEFT JOIN inventory.lot_levels AS serials
                 ON serials.sku = wanted.sku
                AND serials.lot = wanted.lot
                AND serials.serial
        "#,
        &named.iter().map(|(sku, _)| sku.as_str()).collect::<Vec<_>>() as &[&str],
        &named.iter().map(|(_, lot)| lot.as_str()).collect::<Vec<_>>() as &[&str],
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let place = match (row.location_id, row.bucket) {
                (Some(location), Some(stored)) => {
                    Some((parse("lot_levels", "location_id", &location)?, bucket(&stored)?))
                }
                _ => None,
            };
            let in_transit = row.in_transit.map(|to| parse("transfers", "destination_location_id", &to)).transpose()?;
            let known = KnownLot { expires_on: row.expires_on, place, in_transit };
            Ok((named[row.ordinality as usize - 1].clone(), known))
        })
        .collect()
}

/// Writes lots that are new. Fails where somebody else made one meanwhile: the group runs again, and finds it.
pub async fn insert_lots(
    conn: &mut PgConnection,
    lots: &[(Sku, LotNumber, Option<NaiveDate>)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO inventory.lots (sku, lot, expires_on, created_at)
        SELECT sku
             , lot
             , expires_on
             , $4
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::DATE[]) AS new (sku, lot, expires_on)
         ORDER BY sku
                , lot
            ON CONFLICT DO NOTHING
        "#,
        &lots.iter().map(|(sku, ..)| sku.as_str()).collect::<Vec<_>>() as &[&str],
        &lots.iter().map(|(_, lot, _)| lot.as_str()).collect::<Vec<_>>() as &[&str],
        &lots.iter().map(|(.., expires_on)| *expires_on).collect::<Vec<_>>() as &[Option<NaiveDate>],
        now,
    )
    .execute(conn)
    .await?;
    if inserted.rows_affected() as usize == lots.len() {
        return Ok(());
    }
    Err(sqlx::Error::Protocol("a lot was made by somebody else meanwhile".to_owned()))
}

/// Writes what levels, which this transaction locked, have of lots now; what has left goes.
pub async fn save_lot_levels(conn: &mut PgConnection, lots: &[(LevelKey, LotLevel, bool)]) -> Result<(), sqlx::Error> {
    let (kept, gone): (Vec<_>, Vec<_>) = lots.iter().partition(|(_, lot, _)| lot.quantity > 0);
    if !gone.is_empty() {
        sqlx::query!(
            r#"
            DELETE FROM inventory.lot_levels
             USING UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[]) AS gone (sku, location_id, bucket, lot)
             WHERE lot_levels.sku = gone.sku
               AND lot_levels.location_id = gone.location_id
               AND lot_levels.bucket = gone.bucket
               AND lot_levels.lot = gone.lot
            "#,
            &gone.iter().map(|(key, ..)| key.sku.as_str()).collect::<Vec<_>>() as &[&str],
            &gone.iter().map(|(key, ..)| key.location.as_str()).collect::<Vec<_>>() as &[&str],
            &gone.iter().map(|(_, lot, _)| lot.bucket.as_str()).collect::<Vec<_>>() as &[&str],
            &gone.iter().map(|(_, lot, _)| lot.lot.as_str()).collect::<Vec<_>>() as &[&str],
        )
        .execute(&mut *conn)
        .await?;
    }
    if kept.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        INSERT INTO inventory.lot_levels (sku, location_id, bucket, lot, serial, expires_on, quantity, held, told)
        SELECT *
          FROM UNNEST(
                   $1::TEXT[]
                 , $2::TEXT[]
                 , $3::TEXT[]
                 , $4::TEXT[]
                 , $5::BOOLEAN[]
                 , $6::DATE[]
                 , $7::BIGINT[]
                 , $8::BIGINT[]
                 , $9::BOOLEAN[]
               )
            ON CONFLICT (sku, location_id, bucket, lot) DO UPDATE
           SET quantity = EXCLUDED.quantity
             , held = EXCLUDED.held
             , told = EXCLUDED.told
        "#,
        &kept.iter().map(|(key, ..)| key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &kept.iter().map(|(key, ..)| key.location.as_str()).collect::<Vec<_>>() as &[&str],
        &kept.iter().map(|(_, lot, _)| lot.bucket.as_str()).collect::<Vec<_>>() as &[&str],
        &kept.iter().map(|(_, lot, _)| lot.lot.as_str()).collect::<Vec<_>>() as &[&str],
        &kept.iter().map(|(.., serial)| *serial).collect::<Vec<_>>(),
        &kept.iter().map(|(_, lot, _)| lot.expires_on).collect::<Vec<_>>() as &[Option<NaiveDate>],
        &kept.iter().map(|(_, lot, _)| lot.quantity).collect::<Vec<_>>(),
        &kept.iter().map(|(_, lot, _)| lot.held).collect::<Vec<_>>(),
        &kept.iter().map(|(_, lot, _)| lot.told).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn upsert_tracking(conn: &mut PgConnection, tracking: &[Tracking]) -> Result<(), sqlx::Error> {
    let rows: Vec<TrackingRow> = tracking.iter().map(TrackingRow::from).collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.sku_tracking
        SELECT *
          FROM jsonb_populate_recordset(NULL::inventory.sku_tracking, $1)
            ON CONFLICT (sku) DO UPDATE
           SET kind = EXCLUDED.kind
             , shelf_life_days = EXCLUDED.shelf_life_days
             , version = EXCLUDED.version
             , updated_at = EXCLUDED.updated_at
             , updated_by = EXCLUDED.updated_by
        "#,
        Json(rows) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Levels with lots that have gone past promising, and of which nobody has said so, the longest due first.
pub async fn list_untold_lots(pool: &PgPool, today: NaiveDate, limit: i64) -> Result<Vec<LevelKey>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT lot_levels.sku
             , lot_levels.location_id
          FROM inventory.lot_levels
          JOIN inventory.sku_tracking USING (sku)
         WHERE NOT told
           AND expires_on IS NOT NULL
           AND expires_on < $1::DATE + 3660
           AND expires_on - shelf_life_days::INT < $1
         ORDER BY expires_on
         LIMIT $2
        "#,
        today,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| {
        Ok(LevelKey {
            sku: parse("lot_levels", "sku", &row.sku)?,
            location: parse("lot_levels", "location_id", &row.location_id)?,
        })
    })
    .collect()
}

/// Reads a page of how SKUs are tracked, by SKU, after `after`.
pub async fn list_tracking(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<Tracking>, sqlx::Error> {
    sqlx::query_as!(
        TrackingRow,
        r#"
        SELECT *
          FROM inventory.sku_tracking
         WHERE sku > $1
         ORDER BY sku
         LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Tracking::try_from)
    .collect()
}

/// A lot or serial number where it lies.
#[derive(Debug, Clone)]
pub struct StoredLot {
    pub sku: String,
    pub location_id: String,
    pub bucket: Bucket,
    pub lot: String,
    pub expires_on: Option<NaiveDate>,
    pub quantity: i64,
    pub held: i64,
}

/// Where a list of lots goes on: location, bucket and lot of the last.
pub type AfterLot<'a> = (&'a str, &'a str, &'a str);

/// Reads a page of a SKU's lots, or of its serial numbers, by (location, bucket, lot), after `after`.
pub async fn list_stored_lots(
    pool: &PgPool,
    sku: &Sku,
    location: Option<&LocationId>,
    serial: bool,
    after: AfterLot<'_>,
    limit: i64,
) -> Result<Vec<StoredLot>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT sku
             , location_id
             , bucket
             , lot
             , expires_on
             , quantity
             , held
          FROM inventory.lot_levels
         WHERE sku = $1
           AND ($2::TEXT IS NULL OR location_id = $2)
           AND serial = $3
           AND (location_id, bucket, lot) > ($4, $5, $6)
         ORDER BY location_id
                , bucket
                , lot
         LIMIT $7
        "#,
        sku.as_str(),
        location.map(LocationId::as_str),
        serial,
        after.0,
        after.1,
        after.2,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| {
        Ok(StoredLot {
            sku: row.sku,
            location_id: row.location_id,
            bucket: bucket(&row.bucket)?,
            lot: row.lot,
            expires_on: row.expires_on,
            quantity: row.quantity,
            held: row.held,
        })
    })
    .collect()
}

/// A serial number, wherever it went.
#[derive(Debug, Clone)]
pub struct StoredSerial {
    pub sku: String,
    pub serial: String,
    pub expires_on: Option<NaiveDate>,
    /// Where it lies; `None`: it has left.
    pub place: Option<(String, Bucket)>,
    /// The open hold that was given it.
    pub hold_id: Option<uuid::Uuid>,
}

/// Reads one serial number that ever came.
pub async fn find_serial(pool: &PgPool, sku: &Sku, serial: &LotNumber) -> Result<Option<StoredSerial>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT lots.sku
             , lots.lot
             , lots.expires_on
             , levels.location_id AS "location_id?"
             , levels.bucket AS "bucket?"
             , CASE WHEN levels.held > 0 THEN (
                   SELECT hold_lines.hold_id
                     FROM inventory.hold_lines
                     JOIN inventory.holds USING (hold_id)
                    WHERE holds.state = 'held'
                      AND hold_lines.sku = lots.sku
                      AND hold_lines.location_id = levels.location_id
                      AND hold_lines.lots @> jsonb_build_array(jsonb_build_array(lots.lot))
                    LIMIT 1
               ) END AS hold_id
          FROM inventory.lots
          JOIN inventory.sku_tracking AS tracking USING (sku)
          LEFT JOIN inventory.lot_levels AS levels
                 ON levels.sku = lots.sku
                AND levels.lot = lots.lot
                AND levels.serial
         WHERE lots.sku = $1
           AND lots.lot = $2
           AND tracking.kind = 'serial'
        "#,
        sku.as_str(),
        serial.as_str(),
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let place = row.location_id.zip(row.bucket);
        Ok(StoredSerial {
            sku: row.sku,
            serial: row.lot,
            expires_on: row.expires_on,
            place: place.map(|(location, stored)| Ok::<_, sqlx::Error>((location, bucket(&stored)?))).transpose()?,
            hold_id: row.hold_id,
        })
    })
    .transpose()
}

/// The last movements of a lot or serial number, newest first.
pub async fn list_movements_of(
    pool: &PgPool,
    sku: &Sku,
    lot: &LotNumber,
    limit: i64,
) -> Result<Vec<StoredMovement>, sqlx::Error> {
    sqlx::query_as!(
        StoredMovement,
        r#"
        SELECT entry_id
             , movement_id
             , line_no
             , sku
             , source
             , source_location_id
             , target
             , target_location_id
             , owner_id
             , quantity
             , reason
             , reference
             , effective_at
             , recorded_at
             , lot
             , NULL::TEXT AS gln
          FROM inventory.ledger_entries
         WHERE sku = $1
           AND lot = $2
         ORDER BY effective_at DESC
                , entry_id DESC
         LIMIT $3
        "#,
        sku.as_str(),
        lot.as_str(),
        limit,
    )
    .fetch_all(pool)
    .await
}
