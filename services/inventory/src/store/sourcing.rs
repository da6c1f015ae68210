//! How orders are sourced: rules, costs, candidates, and places in the days of locations.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_values::{ChannelId, Coordinates, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{Inconsistency, parse};
use crate::domain::{
    location::LocationKind,
    sourcing::{
        Asked, Costs, Criterion, Destination, Fulfilment, Ladder, Missing, NodeDay, Order, Rules, Sourced, Step,
        Weights,
    },
};

/// A ladder, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LadderRow {
    steps: Vec<StepRow>,
    /// Handling, transport, markdown in percent; the penalty.
    weights: (u16, u16, u16, i64),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StepRow {
    name: String,
    kinds: Vec<String>,
    zones: Vec<String>,
    same_zone: bool,
    max_distance_m: Option<u32>,
    open_now: bool,
    leaves_today: bool,
    least_left: i64,
    order_by: Vec<String>,
    max_parcels: usize,
    least_parcel_value: i64,
}

impl From<&Ladder> for LadderRow {
    fn from(ladder: &Ladder) -> Self {
        let Weights { handling, transport, markdown, parcel_penalty } = ladder.weights;
        Self {
            steps: ladder
                .steps
                .iter()
                .map(|step| StepRow {
                    name: step.name.clone(),
                    kinds: step.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
                    zones: step.zones.iter().map(ToString::to_string).collect(),
                    same_zone: step.same_zone,
                    max_distance_m: step.max_distance_m,
                    open_now: step.open_now,
                    leaves_today: step.leaves_today,
                    least_left: step.least_left,
                    order_by: step.order_by.iter().map(|one| one.as_str().to_owned()).collect(),
                    max_parcels: step.max_parcels,
                    least_parcel_value: step.least_parcel_value,
                })
                .collect(),
            weights: (handling, transport, markdown, parcel_penalty),
        }
    }
}

impl TryFrom<LadderRow> for Ladder {
    type Error = sqlx::Error;

    fn try_from(row: LadderRow) -> Result<Self, sqlx::Error> {
        let (handling, transport, markdown, parcel_penalty) = row.weights;
        let steps = row.steps.into_iter().map(|step| {
            let known = |value: &String| unfit("sourcing_rules", "rules", &step.name, value);
            Ok(Step {
                kinds: step
                    .kinds
                    .iter()
                    .map(|kind| LocationKind::parse(kind).ok_or_else(|| known(kind)))
                    .collect::<Result<_, _>>()?,
                zones: step
                    .zones
                    .iter()
                    .map(|zone| parse("sourcing_rules", "rules", zone))
                    .collect::<Result<_, _>>()?,
                same_zone: step.same_zone,
                max_distance_m: step.max_distance_m,
                open_now: step.open_now,
                leaves_today: step.leaves_today,
                least_left: step.least_left,
                order_by: step
                    .order_by
                    .iter()
                    .map(|one| Criterion::parse(one).ok_or_else(|| known(one)))
                    .collect::<Result<_, _>>()?,
                max_parcels: step.max_parcels,
                least_parcel_value: step.least_parcel_value,
                name: step.name,
            })
        });
        Ok(Self {
            steps: steps.collect::<Result<_, sqlx::Error>>()?,
            weights: Weights { handling, transport, markdown, parcel_penalty },
        })
    }
}

/// How a hold was sourced, as stored on its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourcedRow {
    fulfilment: String,
    latitude: Option<i32>,
    longitude: Option<i32>,
    zone_id: Option<String>,
    lines: Vec<SourcedLineRow>,
    rules_version: i64,
    step: String,
    days: Vec<(String, NaiveDate)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SourcedLineRow {
    sku: String,
    requested: i64,
    unit_value: i64,
    unsourced: i64,
    reason: Option<String>,
}

impl From<&Sourced> for SourcedRow {
    fn from(sourced: &Sourced) -> Self {
        let destination = &sourced.order.destination;
        Self {
            fulfilment: sourced.order.fulfilment.as_str().to_owned(),
            latitude: destination.coordinates.map(|at| at.latitude_micro_degrees()),
            longitude: destination.coordinates.map(|at| at.longitude_micro_degrees()),
            zone_id: destination.zone.as_ref().map(ToString::to_string),
            lines: sourced
                .order
                .lines
                .iter()
                .zip(&sourced.missing)
                .map(|(line, missing)| SourcedLineRow {
                    sku: line.sku.to_string(),
                    requested: line.units,
                    unit_value: line.unit_value,
                    unsourced: missing.map_or(0, |(units, _)| units),
                    reason: missing.map(|(_, why)| why.as_str().to_owned()),
                })
                .collect(),
            rules_version: sourced.rules_version,
            step: sourced.step.clone(),
            days: sourced.days.iter().map(|(location, day)| (location.to_string(), *day)).collect(),
        }
    }
}

impl TryFrom<SourcedRow> for Sourced {
    type Error = sqlx::Error;

    fn try_from(row: SourcedRow) -> Result<Self, sqlx::Error> {
        let coordinates = row
            .latitude
            .zip(row.longitude)
            .map(|(latitude, longitude)| Coordinates::try_new(latitude, longitude))
            .transpose()
            .map_err(|error| unfit("holds", "sourcing", "latitude", &error.to_string()))?;
        let zone = row.zone_id.map(|zone| parse("holds", "sourcing", &zone)).transpose()?;
        let (mut lines, mut missing) = (Vec::new(), Vec::new());
        for line in row.lines {
            let why =
                line.reason.map(|why| Missing::parse(&why).ok_or_else(|| unfit("holds", "sourcing", "reason", &why)));
            missing.push(why.transpose()?.map(|why| (line.unsourced, why)));
            let sku = parse("holds", "sourcing", &line.sku)?;
            lines.push(Asked { sku, units: line.requested, unit_value: line.unit_value });
        }
        let fulfilment = Fulfilment::parse(&row.fulfilment)
            .ok_or_else(|| unfit("holds", "sourcing", "fulfilment", &row.fulfilment))?;
        let days = row.days.into_iter().map(|(location, day)| Ok((parse("holds", "sourcing", &location)?, day)));
        Ok(Self {
            order: Order { lines, fulfilment, destination: Destination { coordinates, zone } },
            missing,
            rules_version: row.rules_version,
            step: row.step,
            days: days.collect::<Result<_, sqlx::Error>>()?,
        })
    }
}

fn unfit(table: &'static str, column: &'static str, key: &str, value: &str) -> sqlx::Error {
    Inconsistency { table, column, key: key.to_owned(), value: value.to_owned() }.into()
}

/// Rules as they were set: by whom and when. Version 0 with nobody is the default ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRules {
    pub channel: ChannelId,
    pub rules: Rules,
    pub updated_at: Option<DateTime<Utc>>,
    pub updated_by: String,
}

impl StoredRules {
    /// Of a channel that has none.
    pub fn default_of(channel: ChannelId) -> Self {
        Self { channel, rules: Rules::default(), updated_at: None, updated_by: String::new() }
    }
}

struct RulesRow {
    channel_id: String,
    version: i64,
    rules: Json<LadderRow>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

impl TryFrom<RulesRow> for StoredRules {
    type Error = sqlx::Error;

    fn try_from(row: RulesRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            channel: parse("sourcing_rules", "channel_id", &row.channel_id)?,
            rules: Rules { ladder: row.rules.0.try_into()?, version: row.version },
            updated_at: Some(row.updated_at),
            updated_by: row.updated_by,
        })
    }
}

/// Rules as they are kept with the answer to a request.
pub fn encode_rules(stored: &StoredRules) -> Vec<u8> {
    let row = (
        stored.channel.to_string(),
        stored.rules.version,
        LadderRow::from(&stored.rules.ladder),
        stored.updated_at,
        stored.updated_by.clone(),
    );
    serde_json::to_vec(&row).unwrap_or_default()
}

pub fn decode_rules(bytes: &[u8]) -> Result<StoredRules, sqlx::Error> {
    let (channel, version, ladder, updated_at, updated_by): (String, i64, LadderRow, _, String) =
        serde_json::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(StoredRules {
        channel: parse("idempotency_keys", "response", &channel)?,
        rules: Rules { ladder: ladder.try_into()?, version },
        updated_at,
        updated_by,
    })
}

/// Locks a channel, so that its rules are set by one at a time; `false` when it is not known.
pub async fn lock_channel(conn: &mut PgConnection, channel: &ChannelId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"
        SELECT version
          FROM inventory.channels
         WHERE channel_id = $1
           FOR UPDATE
        "#,
        channel.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// The rules of a channel, of this version or the newest.
pub async fn find_rules(
    conn: &mut PgConnection,
    channel: &ChannelId,
    version: Option<i64>,
) -> Result<Option<StoredRules>, sqlx::Error> {
    sqlx::query_as!(
        RulesRow,
        r#"
        SELECT channel_id
             , version
             , rules AS "rules: Json<LadderRow>"
             , updated_at
             , updated_by
          FROM inventory.sourcing_rules
         WHERE channel_id = $1
           AND ($2::BIGINT IS NULL OR version = $2)
         ORDER BY version DESC
         LIMIT 1
        "#,
        channel.as_str(),
        version,
    )
    .fetch_optional(conn)
    .await?
    .map(StoredRules::try_from)
    .transpose()
}

pub async fn insert_rules(
    conn: &mut PgConnection,
    stored: &StoredRules,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.sourcing_rules (channel_id, version, rules, updated_at, updated_by)
        VALUES ($1, $2, $3, $4, $5)
        "#,
        stored.channel.as_str(),
        stored.rules.version,
        Json(LadderRow::from(&stored.rules.ladder)) as _,
        now,
        stored.updated_by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest rules of channels, by channel, after `after`.
pub async fn list_newest_rules(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<StoredRules>, sqlx::Error> {
    sqlx::query_as!(
        RulesRow,
        r#"
        SELECT DISTINCT ON (channel_id)
               channel_id
             , version
             , rules AS "rules: Json<LadderRow>"
             , updated_at
             , updated_by
          FROM inventory.sourcing_rules
         WHERE channel_id > $1
         ORDER BY channel_id
                , version DESC
         LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(StoredRules::try_from)
    .collect()
}

/// All versions of a channel's rules before `before`, newest first.
pub async fn list_rules_of(
    pool: &PgPool,
    channel: &ChannelId,
    before: i64,
    limit: i64,
) -> Result<Vec<StoredRules>, sqlx::Error> {
    sqlx::query_as!(
        RulesRow,
        r#"
        SELECT channel_id
             , version
             , rules AS "rules: Json<LadderRow>"
             , updated_at
             , updated_by
          FROM inventory.sourcing_rules
         WHERE channel_id = $1
           AND version < $2
         ORDER BY version DESC
         LIMIT $3
        "#,
        channel.as_str(),
        before,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(StoredRules::try_from)
    .collect()
}

/// What these channels sell from, and their newest rules; unknown channels are missing.
pub async fn find_channels(
    conn: &mut PgConnection,
    channels: &[&str],
) -> Result<Vec<(ChannelId, Vec<String>, Rules)>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT channels.channel_id
             , location_ids
             , newest.version AS "version?"
             , newest.rules AS "rules?: Json<LadderRow>"
          FROM inventory.channels
          LEFT JOIN LATERAL (
                   SELECT version
                        , rules
                     FROM inventory.sourcing_rules
                    WHERE sourcing_rules.channel_id = channels.channel_id
                    ORDER BY version DESC
                    LIMIT 1
               ) AS newest ON TRUE
         WHERE channels.channel_id = ANY ($1)
        "#,
        channels as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let rules = match row.rules.zip(row.version) {
            None => Rules::default(),
            Some((Json(ladder), version)) => Rules { ladder: ladder.try_into()?, version },
        };
        Ok((parse("channels", "channel_id", &row.channel_id)?, row.location_ids, rules))
    })
    .collect()
}

/// Costs as they were set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCosts {
    pub location_id: String,
    pub parcel: i64,
    pub unit: i64,
    pub km: i64,
    pub markdown: i64,
    pub version: i64,
    pub updated_at: DateTime<Utc>,
    pub updated_by: String,
}

impl StoredCosts {
    pub fn costs(&self) -> Costs {
        Costs { parcel: self.parcel, unit: self.unit, km: self.km, markdown: self.markdown }
    }
}

/// The costs of these locations; those that were never set are missing.
pub async fn find_costs(
    conn: &mut PgConnection,
    location_ids: &[&str],
) -> Result<HashMap<String, StoredCosts>, sqlx::Error> {
    let rows = sqlx::query_as!(
        StoredCosts,
        r#"
        SELECT location_id
             , parcel
             , unit
             , km
             , markdown
             , version
             , updated_at
             , updated_by
          FROM inventory.node_costs
         WHERE location_id = ANY ($1)
        "#,
        location_ids as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.location_id.clone(), row)).collect())
}

/// Writes the costs of a location that this transaction locked.
pub async fn upsert_costs(conn: &mut PgConnection, costs: &StoredCosts) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO inventory.node_costs (
            location_id
          , parcel
          , unit
          , km
          , markdown
          , version
          , updated_at
          , updated_by
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (location_id) DO UPDATE
           SET parcel = EXCLUDED.parcel
             , unit = EXCLUDED.unit
             , km = EXCLUDED.km
             , markdown = EXCLUDED.markdown
             , version = EXCLUDED.version
             , updated_at = EXCLUDED.updated_at
             , updated_by = EXCLUDED.updated_by
        "#,
        costs.location_id,
        costs.parcel,
        costs.unit,
        costs.km,
        costs.markdown,
        costs.version,
        costs.updated_at,
        costs.updated_by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Costs by location, after `after`.
pub async fn list_costs(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<StoredCosts>, sqlx::Error> {
    sqlx::query_as!(
        StoredCosts,
        r#"
        SELECT location_id
             , parcel
             , unit
             , km
             , markdown
             , version
             , updated_at
             , updated_by
          FROM inventory.node_costs
         WHERE location_id > $1
         ORDER BY location_id
         LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// One SKU wherever it lies, as it was a moment ago.
#[derive(Debug, Clone)]
pub struct Glimpse {
    /// Location, what a level without rules would grant, and whether it may have some.
    pub levels: Vec<(String, i64, bool)>,
}

/// Looks at all levels of these SKUs without locks. One row per SKU: the levels are many, and each counts for little.
pub async fn glimpse_levels(conn: &mut PgConnection, skus: &[&str]) -> Result<HashMap<Sku, Glimpse>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT sku
             , ARRAY_AGG(location_id) AS "location_ids!"
             , ARRAY_AGG(
                   CASE
                       WHEN location_active
                       THEN sellable - hard_held - soft_held - safety_stock + backorder_limit
                       ELSE 0
                   END
               ) AS "free!"
             , ARRAY_AGG(has_rules) AS "has_rules!"
          FROM inventory.stock_levels
         WHERE sku = ANY ($1)
         GROUP BY sku
        "#,
        skus as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let levels = row.location_ids.into_iter().zip(row.free).zip(row.has_rules);
        let levels = levels.map(|((location, free), ruled)| (location, free.max(0), ruled)).collect();
        Ok((parse("stock_levels", "sku", &row.sku)?, Glimpse { levels }))
    })
    .collect()
}

fn day_columns<'a>(days: impl IntoIterator<Item = &'a NodeDay>) -> (Vec<&'a str>, Vec<NaiveDate>) {
    days.into_iter().map(|(location, day)| (location.as_str(), *day)).unzip()
}

/// Places taken of days, without locks; days of which none was ever taken are missing.
pub async fn find_node_days(conn: &mut PgConnection, days: &[NodeDay]) -> Result<HashMap<NodeDay, i32>, sqlx::Error> {
    let (locations, days) = day_columns(days);
    sqlx::query!(
        r#"
        SELECT node_days.location_id
             , node_days.day
             , taken
          FROM UNNEST($1::TEXT[], $2::DATE[]) AS wanted (location_id, day)
          JOIN inventory.node_days USING (location_id, day)
        "#,
        &locations as &[&str],
        &days,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok(((parse("node_days", "location_id", &row.location_id)?, row.day), row.taken)))
    .collect()
}

/// Locks days, which must be sorted, after all levels and counters; makes those that are missing.
pub async fn lock_node_days(conn: &mut PgConnection, days: &[NodeDay]) -> Result<HashMap<NodeDay, i32>, sqlx::Error> {
    debug_assert!(days.is_sorted(), "locks are taken in order");
    let (locations, days) = day_columns(days);
    sqlx::query!(
        r#"
        INSERT INTO inventory.node_days (location_id, day, taken, capacity)
        SELECT location_id
             , day
             , 0
             , 0
          FROM UNNEST($1::TEXT[], $2::DATE[]) WITH ORDINALITY AS wanted (location_id, day, ordinality)
         ORDER BY ordinality
            ON CONFLICT DO NOTHING
        "#,
        &locations as &[&str],
        &days,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        SELECT node_days.location_id
             , node_days.day
             , taken
          FROM UNNEST($1::TEXT[], $2::DATE[]) WITH ORDINALITY AS wanted (location_id, day, ordinality)
          JOIN inventory.node_days USING (location_id, day)
         ORDER BY ordinality
           FOR UPDATE OF node_days
        "#,
        &locations as &[&str],
        &days,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok(((parse("node_days", "location_id", &row.location_id)?, row.day), row.taken)))
    .collect()
}

/// Writes days that this transaction locked; with the capacity where a place was taken.
pub async fn update_node_days(
    conn: &mut PgConnection,
    days: &[(NodeDay, i32, Option<i32>)],
) -> Result<(), sqlx::Error> {
    let (locations, dates) = day_columns(days.iter().map(|(day, ..)| day));
    sqlx::query!(
        r#"
        UPDATE inventory.node_days
           SET taken = changed.taken
             , capacity = COALESCE(changed.capacity, node_days.capacity)
          FROM UNNEST($1::TEXT[], $2::DATE[], $3::INT[], $4::INT[]) AS changed (location_id, day, taken, capacity)
         WHERE node_days.location_id = changed.location_id
           AND node_days.day = changed.day
        "#,
        &locations as &[&str],
        &dates,
        &days.iter().map(|(_, taken, _)| *taken).collect::<Vec<_>>(),
        &days.iter().map(|(.., capacity)| *capacity).collect::<Vec<_>>() as &[Option<i32>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A network hold of the past.
#[derive(Debug, Clone)]
pub struct PastHold {
    pub hold_id: Uuid,
    pub order: Order,
    pub created_at: DateTime<Utc>,
}

/// Network holds of a channel, made from `start` on and before `end`, in order of time.
pub async fn list_sourced_holds(
    pool: &PgPool,
    channel: &ChannelId,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<PastHold>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT hold_id
             , created_at
             , sourcing AS "sourcing!: Json<SourcedRow>"
          FROM inventory.holds
         WHERE sourcing IS NOT NULL
           AND channel_id = $1
           AND created_at >= $2
           AND created_at < $3
         ORDER BY created_at
                , hold_id
         LIMIT $4
        "#,
        channel.as_str(),
        start,
        end,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| {
        let sourced: Sourced = row.sourcing.0.try_into()?;
        Ok(PastHold { hold_id: row.hold_id, order: sourced.order, created_at: row.created_at })
    })
    .collect()
}
