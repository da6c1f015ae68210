//! New holds: granted, inserted and announced.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_kit::{outbox::Packs, pg};
use oneshelf_values::{ChannelId, PartnerId, ShopperId};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::sourcing::SourcedRow;
use crate::domain::{
    hold::{KitLine, KitPart, StockHold},
    stock_level::{Level, LevelKey, Wanted},
};

/// What granted holds want of levels that nobody has locked, and what these are taken to be.
#[derive(Debug, Default)]
pub struct Guess {
    keys: Vec<LevelKey>,
    soft: Vec<i64>,
    hard: Vec<i64>,
    versions: Vec<i64>,
}

impl Guess {
    /// `levels` has each of the wanted keys.
    pub fn new(wanted: &BTreeMap<&LevelKey, Wanted>, levels: &HashMap<LevelKey, Level>) -> Self {
        let mut guess = Self::default();
        for (key, wanted) in wanted {
            guess.keys.push((*key).clone());
            guess.soft.push(wanted.soft);
            guess.hard.push(wanted.hard);
            guess.versions.push(levels[*key].version);
        }
        guess
    }
}

/// Whether new holds could not be inserted because another transaction made a hold of one of their ids meanwhile.
pub fn is_taken(error: &sqlx::Error) -> bool {
    matches!(pg::constraint(error), Some("holds_pkey" | "hold_lines_pkey"))
}

/// Inserts holds that were granted on locked levels, with their lines.
pub async fn insert_holds(conn: &mut PgConnection, holds: &[StockHold], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    grant(conn, holds, &Guess::default(), &Packs::default(), now).await?;
    if holds.iter().any(|hold| !hold.kits.is_empty()) {
        mark_kit_parts(conn, holds).await?;
    }
    if holds.iter().flat_map(|hold| &hold.lines).any(|line| !line.lots.is_empty()) {
        mark_lots(conn, holds).await?;
    }
    Ok(())
}

/// Takes units of levels, inserts the holds that were granted them, and appends what is announced of it: all of it, if each
/// level has the version that it was taken to have and its row says that the units may be taken, as in
/// [`super::stock_levels::take_plain`]. Otherwise nothing, and the answer is `false`.
///
/// One statement, so it needs no transaction around it. Levels are locked first, in the order of the arrays as everywhere:
/// had it to stop in the middle of writing them, only an error could undo what it wrote.
pub async fn grant(
    conn: &mut PgConnection,
    holds: &[StockHold],
    guess: &Guess,
    packs: &Packs,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let lines = GrantedColumns::of(holds);
    let inserted = sqlx::query!(
        r#"
        WITH locked AS (
            SELECT sku
                 , location_id
                 , known.soft
                 , known.hard
              FROM UNNEST($20::TEXT[], $21::TEXT[], $22::BIGINT[], $23::BIGINT[], $24::BIGINT[])
                   WITH ORDINALITY AS known (sku, location_id, soft, hard, version, ordinality)
              JOIN inventory.stock_levels USING (sku, location_id)
             WHERE stock_levels.version = known.version
               AND location_active
               AND NOT location_closed
               AND NOT has_rules
               AND NOT kit
               AND sellable - hard_held - soft_held - safety_stock + backorder_limit - known.hard >= known.soft
             ORDER BY ordinality
               FOR UPDATE OF stock_levels
        )
        , taken AS (
            UPDATE inventory.stock_levels
               SET soft_held = stock_levels.soft_held + locked.soft
                 , hard_held = stock_levels.hard_held + locked.hard
                 , version = stock_levels.version + 1
                 , updated_at = $25
              FROM locked
             WHERE stock_levels.sku = locked.sku
               AND stock_levels.location_id = locked.location_id
               AND (SELECT COUNT(*) FROM locked) = CARDINALITY($20)
            RETURNING TRUE
        )
        , granted AS (
            INSERT INTO inventory.holds (
                hold_id
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
              , sourcing
            )
            SELECT hold_id
                 , kind
                 , 'held'
                 , channel_id
                 , partner_id
                 , shopper_id
                 , held_since
                 , reference
                 , fingerprint
                 , expires_at
                 , expires_at
                 , created_at
                 , sourcing
              FROM UNNEST(
                       $1::UUID[]
                     , $2::TEXT[]
                     , $3::TEXT[]
                     , $4::TEXT[]
                     , $5::BYTEA[]
                     , $6::TIMESTAMPTZ[]
                     , $7::TIMESTAMPTZ[]
                     , $8::TEXT[]
                     , $9::TEXT[]
                     , $10::TIMESTAMPTZ[]
                     , $11::JSONB[]
                   ) AS hold (
                       hold_id
                     , kind
                     , channel_id
                     , reference
                     , fingerprint
                     , expires_at
                     , created_at
                     , partner_id
                     , shopper_id
                     , held_since
                     , sourcing
                   )
             WHERE (SELECT COUNT(*) FROM taken) = CARDINALITY($20)
        )
        , announced AS (
            INSERT INTO inventory.outbox_packs (
                routing_key
              , events
              , batch
              , created_at
            )
            SELECT routing_key
                 , events
                 , batch
                 , $25
              FROM UNNEST($26::TEXT[], $27::INT[], $28::BYTEA[]) AS pack (routing_key, events, batch)
             WHERE (SELECT COUNT(*) FROM taken) = CARDINALITY($20)
        )
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
                   $12::UUID[]
                 , $13::INT[]
                 , $14::TEXT[]
                 , $15::TEXT[]
                 , $16::BIGINT[]
                 , $17::BIGINT[]
                 , $18::BIGINT[]
                 , $19::BIGINT[]
               )
         WHERE (SELECT COUNT(*) FROM taken) = CARDINALITY($20)
        "#,
        &holds.iter().map(|hold| Uuid::from(hold.hold_id)).collect::<Vec<_>>(),
        &holds.iter().map(|hold| hold.kind().as_str()).collect::<Vec<_>>() as &[&str],
        &holds.iter().map(|hold| hold.channel.as_ref().map(ChannelId::as_str)).collect::<Vec<_>>() as &[Option<&str>],
        &holds.iter().map(|hold| hold.reference.as_str()).collect::<Vec<_>>() as &[&str],
        &holds.iter().map(|hold| &hold.fingerprint[..]).collect::<Vec<_>>() as &[&[u8]],
        &holds.iter().map(|hold| hold.granted_until).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &holds.iter().map(|hold| hold.created_at).collect::<Vec<_>>(),
        &holds.iter().map(|hold| hold.partner.as_ref().map(PartnerId::as_str)).collect::<Vec<_>>() as &[Option<&str>],
        &holds.iter().map(|hold| hold.shopper.as_ref().map(ShopperId::as_str)).collect::<Vec<_>>() as &[Option<&str>],
        &holds.iter().map(|hold| (hold.since != hold.created_at).then_some(hold.since)).collect::<Vec<_>>()
            as &[Option<DateTime<Utc>>],
        &holds.iter().map(|hold| hold.sourced.as_deref().map(|sourced| Json(sourced.into()))).collect::<Vec<_>>()
            as &[Option<Json<SourcedRow>>],
        &lines.hold_ids,
        &lines.places,
        &lines.skus as &[&str],
        &lines.locations as &[&str],
        &lines.requested,
        &lines.held,
        &lines.available,
        &lines.versions,
        &guess.keys.iter().map(|key| key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &guess.keys.iter().map(|key| key.location.as_str()).collect::<Vec<_>>() as &[&str],
        &guess.soft,
        &guess.hard,
        &guess.versions,
        now,
        &packs.routing_keys as &[&str],
        &packs.counts,
        &packs.batches,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == lines.hold_ids.len() as u64)
}

/// The lines of holds as they were granted, by column.
#[derive(Default)]
pub(super) struct GrantedColumns<'a> {
    pub(super) hold_ids: Vec<Uuid>,
    pub(super) places: Vec<i32>,
    pub(super) skus: Vec<&'a str>,
    pub(super) locations: Vec<&'a str>,
    pub(super) requested: Vec<i64>,
    pub(super) held: Vec<i64>,
    pub(super) available: Vec<i64>,
    pub(super) versions: Vec<i64>,
}

impl<'a> GrantedColumns<'a> {
    pub(super) fn of(holds: &'a [StockHold]) -> Self {
        let mut columns = Self::default();
        for hold in holds {
            for (place, (line, held)) in hold.lines.iter().zip(hold.promise.granted()).enumerate() {
                columns.hold_ids.push(Uuid::from(hold.hold_id));
                columns.places.push(place as i32);
                columns.skus.push(line.key.sku.as_str());
                columns.locations.push(line.key.location.as_str());
                columns.requested.push(line.requested);
                columns.held.push(*held);
                columns.available.push(line.available);
                // A line that was granted nothing did not touch its level.
                columns.versions.push(if *held > 0 { line.granted_version } else { 0 });
            }
        }
        columns
    }
}

/// Says of the lines that make up kits which these are. Hardly any hold has kits, so it is not said with every line.
async fn mark_kit_parts(conn: &mut PgConnection, holds: &[StockHold]) -> Result<(), sqlx::Error> {
    let parts: Vec<(Uuid, i32, KitPart, &KitLine)> = holds
        .iter()
        .flat_map(|hold| {
            hold.lines.iter().enumerate().filter_map(move |(place, line)| {
                let part = line.part_of?;
                Some((Uuid::from(hold.hold_id), place as i32, part, &hold.kits[part.kit]))
            })
        })
        .collect();
    sqlx::query!(
        r#"
        UPDATE inventory.hold_lines
           SET kit_no = part.kit_no
             , kit_sku = part.kit_sku
             , kit_version = part.kit_version
             , kit_units = part.kit_units
             , kit_available = part.kit_available
          FROM UNNEST($1::UUID[], $2::INT[], $3::INT[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[])
               AS part (hold_id, line_no, kit_no, kit_sku, kit_version, kit_units, kit_available)
         WHERE hold_lines.hold_id = part.hold_id
           AND hold_lines.line_no = part.line_no
        "#,
        &parts.iter().map(|part| part.0).collect::<Vec<_>>(),
        &parts.iter().map(|part| part.1).collect::<Vec<_>>(),
        &parts.iter().map(|part| part.2.kit as i32).collect::<Vec<_>>(),
        &parts.iter().map(|part| part.3.key.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &parts.iter().map(|part| part.3.version).collect::<Vec<_>>(),
        &parts.iter().map(|part| part.2.units).collect::<Vec<_>>(),
        &parts.iter().map(|part| part.3.available).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Says of lines of tracked SKUs which lots they were given.
async fn mark_lots(conn: &mut PgConnection, holds: &[StockHold]) -> Result<(), sqlx::Error> {
    let lines = holds.iter().flat_map(|hold| {
        let lines = hold.lines.iter().enumerate().filter(|(_, line)| !line.lots.is_empty());
        lines.map(move |(place, line)| (Uuid::from(hold.hold_id), place as i32, line))
    });
    let (mut ids, mut places, mut lots) = (Vec::new(), Vec::new(), Vec::new());
    for (hold_id, place, line) in lines {
        ids.push(hold_id);
        places.push(place);
        let parts = line.lots.iter().map(|(lot, units)| serde_json::json!([lot.as_str(), units]));
        lots.push(serde_json::Value::Array(parts.collect()));
    }
    sqlx::query!(
        r#"
        UPDATE inventory.hold_lines
           SET lots = given.lots
          FROM UNNEST($1::UUID[], $2::INT[], $3::JSONB[]) AS given (hold_id, line_no, lots)
         WHERE hold_lines.hold_id = given.hold_id
           AND hold_lines.line_no = given.line_no
        "#,
        &ids,
        &places,
        &lots,
    )
    .execute(conn)
    .await?;
    Ok(())
}
