//! What is kept back: policies and ring-fences. Rows travel as JSON objects of their columns, so that one statement reads
//! or writes any number of them, whatever lists they have.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, LocationId, PartnerId, Sku};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::{
    Inconsistency,
    consignments::{AgreementRow, ConsignedRow},
    lots::TrackingRow,
    parse,
};
use crate::domain::{
    consignment::{Agreement, Consigned, Consignment},
    lot::Tracking,
    policy::{Audit, FenceOwner, RingFence, Rulebook, SkuPolicy, SkuTerms, StockPolicy, StockTerms},
    stock_level::{Level, LevelKey},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StockPolicyRow {
    sku: String,
    location_id: String,
    safety_stock: i64,
    backorder_limit: i64,
    excluded: bool,
    excluded_channels: Vec<String>,
    buffers: BTreeMap<String, i64>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
    /// Only on the way in: the version of the level from which on it holds.
    #[serde(default)]
    level_version: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SkuPolicyRow {
    sku: String,
    network_threshold: i64,
    low_threshold: i64,
    excluded_channels: Vec<String>,
    shopper_cap: Option<i64>,
    channel_cap: Option<i64>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RingFenceRow {
    sku: String,
    location_id: String,
    owner_kind: String,
    owner_id: String,
    quota: i64,
    release_at: Option<DateTime<Utc>>,
    used: i64,
    begun: i64,
    released: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

fn names(channels: &BTreeSet<ChannelId>) -> Vec<String> {
    channels.iter().map(ChannelId::to_string).collect()
}

fn channels(column: &'static str, names: &[String]) -> Result<BTreeSet<ChannelId>, sqlx::Error> {
    names.iter().map(|name| parse("stock_policies", column, name)).collect()
}

fn key(sku: &str, location_id: &str) -> Result<LevelKey, sqlx::Error> {
    Ok(LevelKey {
        sku: parse("stock_policies", "sku", sku)?,
        location: parse("stock_policies", "location_id", location_id)?,
    })
}

impl From<&StockPolicy> for StockPolicyRow {
    fn from(policy: &StockPolicy) -> Self {
        let (terms, audit) = (&policy.terms, &policy.audit);
        Self {
            sku: policy.key.sku.to_string(),
            location_id: policy.key.location.to_string(),
            safety_stock: terms.safety_stock,
            backorder_limit: terms.backorder_limit,
            excluded: terms.excluded,
            excluded_channels: names(&terms.excluded_channels),
            buffers: terms.buffers.iter().map(|(channel, units)| (channel.to_string(), *units)).collect(),
            version: audit.version,
            created_at: audit.created_at,
            updated_at: audit.updated_at,
            updated_by: audit.updated_by.clone(),
            level_version: 0,
        }
    }
}

impl TryFrom<StockPolicyRow> for StockPolicy {
    type Error = sqlx::Error;

    fn try_from(row: StockPolicyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: key(&row.sku, &row.location_id)?,
            terms: StockTerms {
                safety_stock: row.safety_stock,
                backorder_limit: row.backorder_limit,
                excluded: row.excluded,
                excluded_channels: channels("excluded_channels", &row.excluded_channels)?,
                buffers: row
                    .buffers
                    .iter()
                    .map(|(channel, units)| Ok((parse("stock_policies", "buffers", channel)?, *units)))
                    .collect::<Result<_, sqlx::Error>>()?,
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

impl From<&SkuPolicy> for SkuPolicyRow {
    fn from(policy: &SkuPolicy) -> Self {
        let (terms, audit) = (&policy.terms, &policy.audit);
        Self {
            sku: policy.sku.to_string(),
            network_threshold: terms.network_threshold,
            low_threshold: terms.low_threshold,
            excluded_channels: names(&terms.excluded_channels),
            shopper_cap: terms.shopper_cap,
            channel_cap: terms.channel_cap,
            version: audit.version,
            created_at: audit.created_at,
            updated_at: audit.updated_at,
            updated_by: audit.updated_by.clone(),
        }
    }
}

impl TryFrom<SkuPolicyRow> for SkuPolicy {
    type Error = sqlx::Error;

    fn try_from(row: SkuPolicyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            sku: parse("sku_policies", "sku", &row.sku)?,
            terms: SkuTerms {
                network_threshold: row.network_threshold,
                low_threshold: row.low_threshold,
                excluded_channels: channels("excluded_channels", &row.excluded_channels)?,
                shopper_cap: row.shopper_cap,
                channel_cap: row.channel_cap,
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

impl From<&RingFence> for RingFenceRow {
    fn from(fence: &RingFence) -> Self {
        let (owner_kind, owner_id) = match &fence.owner {
            FenceOwner::Channel(channel) => ("channel", channel.to_string()),
            FenceOwner::Partner(partner) => ("partner", partner.to_string()),
        };
        Self {
            sku: fence.key.sku.to_string(),
            location_id: fence.key.location.to_string(),
            owner_kind: owner_kind.to_owned(),
            owner_id,
            quota: fence.quota,
            release_at: fence.release_at,
            used: fence.used,
            begun: fence.begun,
            released: fence.released,
            version: fence.audit.version,
            created_at: fence.audit.created_at,
            updated_at: fence.audit.updated_at,
            updated_by: fence.audit.updated_by.clone(),
        }
    }
}

impl TryFrom<RingFenceRow> for RingFence {
    type Error = sqlx::Error;

    fn try_from(row: RingFenceRow) -> Result<Self, sqlx::Error> {
        let owner = match row.owner_kind.as_str() {
            "channel" => FenceOwner::Channel(parse::<ChannelId>("ring_fences", "owner_id", &row.owner_id)?),
            "partner" => FenceOwner::Partner(parse::<PartnerId>("ring_fences", "owner_id", &row.owner_id)?),
            _ => {
                return Err(Inconsistency {
                    table: "ring_fences",
                    column: "owner_kind",
                    key: row.owner_id,
                    value: row.owner_kind,
                }
                .into());
            }
        };
        Ok(Self {
            key: key(&row.sku, &row.location_id)?,
            owner,
            quota: row.quota,
            release_at: row.release_at,
            used: row.used,
            begun: row.begun,
            released: row.released,
            audit: Audit {
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
                updated_by: row.updated_by,
            },
        })
    }
}

/// Reads all rules of these levels, and the policies of these SKUs whether or not there is any level of them; says also
/// which of the SKUs are kits or in one. Where the levels are locked, so are their policies and fences: those change under
/// that lock only.
pub async fn find_rules(
    conn: &mut PgConnection,
    keys: &[&LevelKey],
    also: &[&str],
) -> Result<(Rulebook, BTreeSet<String>), sqlx::Error> {
    let levels = keys.iter().map(|key| (key.sku.as_str(), key.location.as_str()));
    // No location has an empty code.
    let (skus, locations): (Vec<&str>, Vec<&str>) = levels.chain(also.iter().map(|sku| (*sku, ""))).unzip();
    let rows = sqlx::query!(
        r#"
        SELECT to_jsonb(policy) AS "policy: Json<StockPolicyRow>"
             , to_jsonb(sku_policy) AS "sku_policy: Json<SkuPolicyRow>"
             , (
                   SELECT jsonb_agg(to_jsonb(fence))
                     FROM inventory.ring_fences AS fence
                    WHERE fence.sku = wanted.sku
                      AND fence.location_id = wanted.location_id
               ) AS "fences: Json<Vec<RingFenceRow>>"
             , wanted.sku AS "sku!"
             , EXISTS (
                   SELECT 1
                     FROM inventory.stock_thresholds AS threshold
                    WHERE threshold.sku = wanted.sku
                      AND NOT threshold.ended
               ) AS "watched!"
             , wanted.location_id AS "location_id!"
             , (
                   SELECT jsonb_agg(to_jsonb(stock))
                     FROM inventory.consignment_stock AS stock
                    WHERE stock.sku = wanted.sku
                      AND stock.location_id = wanted.location_id
               ) AS "consigned: Json<Vec<ConsignedRow>>"
             , (
                   SELECT jsonb_agg(to_jsonb(agreement))
                     FROM inventory.consignment_agreements AS agreement
                    WHERE agreement.location_id = wanted.location_id
                      AND (agreement.skus IS NULL OR wanted.sku = ANY (agreement.skus))
               ) AS "agreements: Json<Vec<AgreementRow>>"
             , to_jsonb(tracking) AS "tracking: Json<TrackingRow>"
             , CASE WHEN EXISTS (
                   SELECT 1
                     FROM inventory.kit_components AS part
                    WHERE part.kit_sku = wanted.sku
                       OR part.component_sku = wanted.sku
               ) THEN wanted.sku END AS "in_kits"
          FROM UNNEST($1::TEXT[], $2::TEXT[]) AS wanted (sku, location_id)
          LEFT JOIN inventory.stock_policies AS policy USING (sku, location_id)
          LEFT JOIN inventory.sku_policies AS sku_policy ON sku_policy.sku = wanted.sku
          LEFT JOIN inventory.sku_tracking AS tracking ON tracking.sku = wanted.sku
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let (mut rules, mut in_kits) = (Rulebook::default(), BTreeSet::new());
    for row in rows {
        in_kits.extend(row.in_kits);
        if let Some(Json(tracking)) = row.tracking {
            let tracking = Tracking::try_from(tracking)?;
            rules.tracking.insert(tracking.sku.clone(), tracking);
        }
        if let Some(Json(policy)) = row.policy {
            let policy = StockPolicy::try_from(policy)?;
            rules.policies.insert(policy.key.clone(), policy);
        }
        if let Some(Json(policy)) = row.sku_policy {
            let policy = SkuPolicy::try_from(policy)?;
            rules.skus.insert(policy.sku.clone(), policy);
        }
        if row.consigned.is_some() || row.agreements.is_some() {
            let (Json(stock), Json(agreements)) =
                (row.consigned.unwrap_or_default(), row.agreements.unwrap_or_default());
            let consignment = Consignment {
                stock: stock.into_iter().map(Consigned::try_from).collect::<Result<_, _>>()?,
                agreements: agreements.into_iter().map(Agreement::try_from).collect::<Result<_, _>>()?,
            };
            rules.consignments.insert(key(&row.sku, &row.location_id)?, consignment);
        }
        if row.watched {
            rules.watched.insert(parse("stock_thresholds", "sku", &row.sku)?);
        }
        let fences = row.fences.map(|Json(fences)| fences).unwrap_or_default();
        let mut fences = fences.into_iter().map(RingFence::try_from).collect::<Result<Vec<_>, _>>()?;
        fences.sort_by(|a, b| a.owner.cmp(&b.owner));
        if let Some(first) = fences.first() {
            rules.fences.insert(first.key.clone(), fences);
        }
    }
    Ok((rules, in_kits))
}

/// Locks SKUs, which must be sorted, against new levels ([`super::stock_levels::insert_empty_levels`]) and other policies
/// of theirs: before any level.
pub async fn lock_skus(conn: &mut PgConnection, skus: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT COUNT(pg_advisory_xact_lock(hashtextextended('inventory.sku/' || sku, 0)))
          FROM (
                   SELECT sku
                     FROM UNNEST($1::TEXT[]) WITH ORDINALITY AS wanted (sku, ordinality)
                    ORDER BY ordinality
               ) AS sorted
        "#,
        skus as &[&str],
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// The levels that there are of these SKUs.
pub async fn list_levels_of(conn: &mut PgConnection, skus: &[&str]) -> Result<Vec<LevelKey>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT sku
             , location_id
          FROM inventory.stock_levels
         WHERE sku = ANY ($1)
        "#,
        skus as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| key(&row.sku, &row.location_id))
    .collect()
}

/// Writes policies that were set, and remembers from which version of their levels on they hold.
pub async fn upsert_stock_policies(
    conn: &mut PgConnection,
    policies: &[(StockPolicy, i64)],
) -> Result<(), sqlx::Error> {
    let rows: Vec<StockPolicyRow> = policies
        .iter()
        .map(|(policy, level_version)| StockPolicyRow { level_version: *level_version, ..policy.into() })
        .collect();
    sqlx::query!(
        r#"
        WITH given AS (
            SELECT *
              FROM jsonb_to_recordset($1) AS given (
                       sku TEXT
                     , location_id TEXT
                     , safety_stock BIGINT
                     , backorder_limit BIGINT
                     , excluded BOOLEAN
                     , excluded_channels TEXT[]
                     , buffers JSONB
                     , version BIGINT
                     , created_at TIMESTAMPTZ
                     , updated_at TIMESTAMPTZ
                     , updated_by TEXT
                     , level_version BIGINT
                   )
        )
           , remembered AS (
            INSERT INTO inventory.stock_policy_changes
            SELECT sku
                 , location_id
                 , version
                 , level_version
                 , safety_stock
                 , backorder_limit
                 , excluded
                 , excluded_channels
                 , buffers
                 , updated_at
                 , updated_by
              FROM given
        )
        INSERT INTO inventory.stock_policies
        SELECT sku
             , location_id
             , safety_stock
             , backorder_limit
             , excluded
             , excluded_channels
             , buffers
             , version
             , created_at
             , updated_at
             , updated_by
          FROM given
            ON CONFLICT (sku, location_id) DO UPDATE
           SET safety_stock = EXCLUDED.safety_stock
             , backorder_limit = EXCLUDED.backorder_limit
             , excluded = EXCLUDED.excluded
             , excluded_channels = EXCLUDED.excluded_channels
             , buffers = EXCLUDED.buffers
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

pub async fn upsert_sku_policies(conn: &mut PgConnection, policies: &[SkuPolicy]) -> Result<(), sqlx::Error> {
    let rows: Vec<SkuPolicyRow> = policies.iter().map(SkuPolicyRow::from).collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.sku_policies
        SELECT *
          FROM jsonb_populate_recordset(NULL::inventory.sku_policies, $1)
            ON CONFLICT (sku) DO UPDATE
           SET network_threshold = EXCLUDED.network_threshold
             , low_threshold = EXCLUDED.low_threshold
             , excluded_channels = EXCLUDED.excluded_channels
             , shopper_cap = EXCLUDED.shopper_cap
             , channel_cap = EXCLUDED.channel_cap
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

/// Writes fences that were set or used.
pub async fn upsert_ring_fences(conn: &mut PgConnection, fences: &[RingFence]) -> Result<(), sqlx::Error> {
    let rows: Vec<RingFenceRow> = fences.iter().map(RingFenceRow::from).collect();
    sqlx::query!(
        r#"
        INSERT INTO inventory.ring_fences
        SELECT *
          FROM jsonb_populate_recordset(NULL::inventory.ring_fences, $1)
            ON CONFLICT (sku, location_id, owner_kind, owner_id) DO UPDATE
           SET quota = EXCLUDED.quota
             , release_at = EXCLUDED.release_at
             , used = EXCLUDED.used
             , begun = EXCLUDED.begun
             , released = EXCLUDED.released
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

/// Writes the copies of their policies into levels that this transaction locked and wrote.
pub async fn update_level_policies(conn: &mut PgConnection, levels: &[(LevelKey, Level)]) -> Result<(), sqlx::Error> {
    let skus: Vec<&str> = levels.iter().map(|(key, _)| key.sku.as_str()).collect();
    let locations: Vec<&str> = levels.iter().map(|(key, _)| key.location.as_str()).collect();
    sqlx::query!(
        r#"
        UPDATE inventory.stock_levels
           SET safety_stock = changed.safety_stock
             , backorder_limit = changed.backorder_limit
             , has_rules = changed.has_rules
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::BOOLEAN[])
               AS changed (sku, location_id, safety_stock, backorder_limit, has_rules)
         WHERE stock_levels.sku = changed.sku
           AND stock_levels.location_id = changed.location_id
        "#,
        &skus as &[&str],
        &locations as &[&str],
        &levels.iter().map(|(_, level)| level.safety_stock).collect::<Vec<_>>(),
        &levels.iter().map(|(_, level)| level.backorder_limit).collect::<Vec<_>>(),
        &levels.iter().map(|(_, level)| level.has_rules).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Levels with fences whose time is over and whose release nobody has announced, the longest due first.
pub async fn list_due_fences(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> Result<Vec<LevelKey>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT sku
             , location_id
          FROM inventory.ring_fences
         WHERE NOT released
           AND release_at <= $1
         ORDER BY release_at
         LIMIT $2
        "#,
        now,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| key(&row.sku, &row.location_id))
    .collect()
}

/// Reads a page of policies in (SKU, location) order, after `after`.
pub async fn list_stock_policies(
    pool: &PgPool,
    sku: Option<&Sku>,
    location: Option<&LocationId>,
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<StockPolicy>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT to_jsonb(policy) AS "policy!: Json<StockPolicyRow>"
          FROM inventory.stock_policies AS policy
         WHERE ($1::TEXT IS NULL OR sku = $1)
           AND ($2::TEXT IS NULL OR location_id = $2)
           AND (sku, location_id) > ($3, $4)
         ORDER BY sku
                , location_id
         LIMIT $5
        "#,
        sku.map(Sku::as_str),
        location.map(LocationId::as_str),
        after.0,
        after.1,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|Json(row)| row.try_into())
    .collect()
}

/// Reads a page of fences in (SKU, location, kind of owner, owner) order, after `after`.
pub async fn list_ring_fences(
    pool: &PgPool,
    sku: Option<&Sku>,
    location: Option<&LocationId>,
    after: (&str, &str, &str, &str),
    limit: i64,
) -> Result<Vec<RingFence>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT to_jsonb(fence) AS "fence!: Json<RingFenceRow>"
          FROM inventory.ring_fences AS fence
         WHERE ($1::TEXT IS NULL OR sku = $1)
           AND ($2::TEXT IS NULL OR location_id = $2)
           AND (sku, location_id, owner_kind, owner_id) > ($3, $4, $5, $6)
         ORDER BY sku
                , location_id
                , owner_kind
                , owner_id
         LIMIT $7
        "#,
        sku.map(Sku::as_str),
        location.map(LocationId::as_str),
        after.0,
        after.1,
        after.2,
        after.3,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|Json(row)| row.try_into())
    .collect()
}

/// Reads a page of SKU policies by SKU, after `after`.
pub async fn list_sku_policies(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<SkuPolicy>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT to_jsonb(policy) AS "policy!: Json<SkuPolicyRow>"
          FROM inventory.sku_policies AS policy
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
    .map(|Json(row)| row.try_into())
    .collect()
}

/// What expired holds that wait for the sweeper still hold of these levels.
pub async fn list_expired_units(
    pool: &PgPool,
    keys: &[&LevelKey],
    now: DateTime<Utc>,
) -> Result<Vec<ExpiredUnits>, sqlx::Error> {
    let (skus, locations): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.sku.as_str(), key.location.as_str())).unzip();
    sqlx::query!(
        r#"
        SELECT hold_lines.sku
             , hold_lines.location_id
             , holds.channel_id
             , holds.partner_id
             , hold_lines.granted_version
             , hold_lines.held
          FROM inventory.holds
          JOIN inventory.hold_lines USING (hold_id)
         WHERE holds.state = 'held'
           AND holds.kind = 'soft'
           AND holds.expires_at <= $3
           AND hold_lines.held > 0
           AND (hold_lines.sku, hold_lines.location_id) IN (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))
        "#,
        &skus as &[&str],
        &locations as &[&str],
        now,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| {
        Ok(ExpiredUnits {
            key: key(&row.sku, &row.location_id)?,
            channel: row.channel_id.map(|id| parse("holds", "channel_id", &id)).transpose()?,
            partner: row.partner_id.map(|id| parse("holds", "partner_id", &id)).transpose()?,
            granted_version: row.granted_version,
            held: row.held,
        })
    })
    .collect()
}

/// Units of a hold whose time is over.
#[derive(Debug, Clone)]
pub struct ExpiredUnits {
    pub key: LevelKey,
    pub channel: Option<ChannelId>,
    pub partner: Option<PartnerId>,
    pub granted_version: i64,
    pub held: i64,
}
