//! Current levels.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
};

use chrono::{DateTime, Utc};
use oneshelf_values::{LocationId, Sku};
use sqlx::{PgConnection, PgPool};

use super::Inconsistency;
use crate::domain::{
    location::LocationState,
    stock_level::{Level, LevelKey, Wanted},
};

/// A level as it was read, with the time of its last change.
#[derive(Debug, Clone)]
pub struct StoredLevel {
    pub key: LevelKey,
    pub level: Level,
    pub updated_at: DateTime<Utc>,
    /// Of `level.soft_held`, what is past its time and only waits for the sweeper.
    pub expired: i64,
}

/// A level as statements over wanted keys answer it: `ordinality` is the key's place, from 1.
struct LevelRow {
    ordinality: i64,
    sellable: i64,
    damaged: i64,
    quarantine: i64,
    soft_held: i64,
    hard_held: i64,
    oversell_facts: bool,
    location_active: bool,
    location_closed: bool,
    safety_stock: i64,
    backorder_limit: i64,
    has_rules: bool,
    kit: bool,
    version: i64,
}

fn by_key<K: Borrow<LevelKey>>(keys: &[K], rows: Vec<LevelRow>) -> HashMap<LevelKey, Level> {
    let level = |row: LevelRow| {
        let key = keys[row.ordinality as usize - 1].borrow().clone();
        let level = Level {
            sellable: row.sellable,
            damaged: row.damaged,
            quarantine: row.quarantine,
            soft_held: row.soft_held,
            hard_held: row.hard_held,
            oversell_facts: row.oversell_facts,
            location: state(row.location_active, row.location_closed),
            safety_stock: row.safety_stock,
            backorder_limit: row.backorder_limit,
            has_rules: row.has_rules,
            kit: row.kit,
            version: row.version,
        };
        (key, level)
    };
    rows.into_iter().map(level).collect()
}

/// Locks the levels of `keys`, which must be sorted: every transaction locks in this order, so none waits in a circle.
/// Levels that do not exist are missing from the answer.
pub async fn lock_stock_levels(
    conn: &mut PgConnection,
    keys: &[LevelKey],
) -> Result<HashMap<LevelKey, Level>, sqlx::Error> {
    debug_assert!(keys.is_sorted(), "locks are taken in order");
    let (skus, locations) = columns(keys);
    let rows = sqlx::query_as!(
        LevelRow,
        r#"
        SELECT ordinality AS "ordinality!"
             , sellable
             , damaged
             , quarantine
             , soft_held
             , hard_held
             , oversell_facts
             , location_active
             , location_closed
             , safety_stock
             , backorder_limit
             , has_rules
             , kit
             , version
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
          JOIN inventory.stock_levels USING (sku, location_id)
         ORDER BY ordinality
           FOR UPDATE OF stock_levels
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(by_key(keys, rows))
}

/// The state of a level's location, as the level has it.
fn state(active: bool, closed: bool) -> LocationState {
    match (active, closed) {
        (_, true) => LocationState::Closed,
        (true, false) => LocationState::Active,
        (false, false) => LocationState::Inactive,
    }
}

/// Reads levels without locking them: those of components beside a locked one of the same kit.
pub async fn list_stock_levels_at(
    conn: &mut PgConnection,
    keys: &[LevelKey],
) -> Result<HashMap<LevelKey, Level>, sqlx::Error> {
    let (skus, locations) = columns(keys);
    let rows = sqlx::query_as!(
        LevelRow,
        r#"
        SELECT ordinality AS "ordinality!"
             , sellable
             , damaged
             , quarantine
             , soft_held
             , hard_held
             , oversell_facts
             , location_active
             , location_closed
             , safety_stock
             , backorder_limit
             , has_rules
             , kit
             , version
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
          JOIN inventory.stock_levels USING (sku, location_id)
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(by_key(keys, rows))
}

/// Makes empty levels where there are none yet, sorted by key; unknown locations are skipped. The location of a new
/// level is locked against change, so that its copy of the state is right when it is committed. Its SKU is locked against
/// new policies ([`super::policies::lock_skus`]), and the level begins with the suspicion of rules: whoever reads them
/// next, under this lock, knows.
/// Always before the levels are locked, so that nobody who holds a lock waits for a level that another is making.
pub async fn insert_empty_levels(
    conn: &mut PgConnection,
    keys: &[LevelKey],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (skus, locations) = columns(keys);
    sqlx::query!(
        r#"
        INSERT INTO inventory.stock_levels (
            sku
          , location_id
          , oversell_facts
          , location_active
          , location_closed
          , has_rules
          , kit
          , updated_at
        )
        SELECT sku
             , location_id
             , oversell_facts
             , state = 'active'
             , state = 'closed'
             , pg_advisory_xact_lock_shared(hashtextextended('inventory.sku/' || sku, 0)) IS NOT NULL
             , EXISTS (
                   SELECT 1
                     FROM inventory.kits
                    WHERE kits.kit_sku = sku
               )
             , $3
          FROM (
                   SELECT sku
                        , location_id
                        , ordinality
                        , locations.oversell_facts
                        , locations.state
                     FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
                     JOIN inventory.locations USING (location_id)
                    WHERE NOT EXISTS (
                              SELECT 1
                                FROM inventory.stock_levels AS known
                               WHERE known.sku = wanted.sku
                                 AND known.location_id = wanted.location_id
                          )
                      FOR SHARE OF locations
               ) AS missing
         ORDER BY ordinality
            ON CONFLICT DO NOTHING
        "#,
        &skus as &[&str],
        &locations as &[&str],
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Levels as they are, or empty as they would be made; unknown locations are missing. Locks nothing: for a look ahead.
pub async fn peek_stock_levels(
    conn: &mut PgConnection,
    keys: &[LevelKey],
) -> Result<HashMap<LevelKey, Level>, sqlx::Error> {
    let (skus, locations) = columns(keys);
    let rows = sqlx::query_as!(
        LevelRow,
        r#"
        SELECT ordinality AS "ordinality!"
             , COALESCE(sellable, 0) AS "sellable!"
             , COALESCE(damaged, 0) AS "damaged!"
             , COALESCE(quarantine, 0) AS "quarantine!"
             , COALESCE(soft_held, 0) AS "soft_held!"
             , COALESCE(hard_held, 0) AS "hard_held!"
             , locations.oversell_facts
             , locations.state = 'active' AS "location_active!"
             , locations.state = 'closed' AS "location_closed!"
             , COALESCE(safety_stock, 0) AS "safety_stock!"
             , COALESCE(backorder_limit, 0) AS "backorder_limit!"
             , COALESCE(has_rules, FALSE) AS "has_rules!"
             , EXISTS (
                   SELECT 1
                     FROM inventory.kits
                    WHERE kits.kit_sku = wanted.sku
               ) AS "kit!"
             , COALESCE(stock_levels.version, 0) AS "version!"
          FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (sku, location_id, ordinality)
          JOIN inventory.locations USING (location_id)
          LEFT JOIN inventory.stock_levels USING (sku, location_id)
        "#,
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(by_key(keys, rows))
}

/// Takes what is wanted of each level, in the order of the keys, where the row alone says that it may be taken: its
/// location is open for sale, it has no rules, and there is enough. Answers the levels so written.
///
/// The order is that of the arrays: the planner, who does not know how long they are, looks levels up one by one. Were it
/// ever to read them in another order, two groups could wait for each other; PostgreSQL would end one, and it would run again.
pub async fn take_plain(
    conn: &mut PgConnection,
    wanted: &BTreeMap<&LevelKey, Wanted>,
    now: DateTime<Utc>,
) -> Result<HashMap<LevelKey, Level>, sqlx::Error> {
    let keys: Vec<&LevelKey> = wanted.keys().copied().collect();
    let (skus, locations) = columns(&keys);
    let rows = sqlx::query_as!(
        LevelRow,
        r#"
        UPDATE inventory.stock_levels
           SET soft_held = soft_held + wanted.soft
             , hard_held = hard_held + wanted.hard
             , version = version + 1
             , updated_at = $5
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[])
               WITH ORDINALITY AS wanted (sku, location_id, soft, hard, ordinality)
         WHERE stock_levels.sku = wanted.sku
           AND stock_levels.location_id = wanted.location_id
           AND location_active
           AND NOT location_closed
           AND NOT has_rules
           AND NOT kit
           AND sellable - hard_held - soft_held - safety_stock + backorder_limit - wanted.hard >= wanted.soft
        RETURNING ordinality AS "ordinality!"
                , sellable
                , damaged
                , quarantine
                , soft_held
                , hard_held
                , oversell_facts
                , location_active
                , location_closed
                , safety_stock
                , backorder_limit
                , has_rules
                , kit
                , version
        "#,
        &skus as &[&str],
        &locations as &[&str],
        &wanted.values().map(|wanted| wanted.soft).collect::<Vec<_>>(),
        &wanted.values().map(|wanted| wanted.hard).collect::<Vec<_>>(),
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(by_key(&keys, rows))
}

/// Writes changed levels back. They were locked by this transaction; the version says so a second time: a level that
/// somebody changed since it was read is not written, and nothing is.
pub async fn update_stock_levels(
    conn: &mut PgConnection,
    levels: &[(LevelKey, Level)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let column = |value: fn(&Level) -> i64| levels.iter().map(|(_, level)| value(level)).collect::<Vec<_>>();
    let skus: Vec<&str> = levels.iter().map(|(key, _)| key.sku.as_str()).collect();
    let locations: Vec<&str> = levels.iter().map(|(key, _)| key.location.as_str()).collect();
    let updated = sqlx::query!(
        r#"
        UPDATE inventory.stock_levels
           SET sellable = changed.sellable
             , damaged = changed.damaged
             , quarantine = changed.quarantine
             , soft_held = changed.soft_held
             , hard_held = changed.hard_held
             , version = changed.version
             , updated_at = $9
          FROM UNNEST(
                   $1::TEXT[]
                 , $2::TEXT[]
                 , $3::BIGINT[]
                 , $4::BIGINT[]
                 , $5::BIGINT[]
                 , $6::BIGINT[]
                 , $7::BIGINT[]
                 , $8::BIGINT[]
               ) AS changed (sku, location_id, sellable, damaged, quarantine, soft_held, hard_held, version)
         WHERE stock_levels.sku = changed.sku
           AND stock_levels.location_id = changed.location_id
           AND stock_levels.version = changed.version - 1
        "#,
        &skus as &[&str],
        &locations as &[&str],
        &column(|level| level.sellable),
        &column(|level| level.damaged),
        &column(|level| level.quarantine),
        &column(|level| level.soft_held),
        &column(|level| level.hard_held),
        &column(|level| level.version),
        now,
    )
    .execute(conn)
    .await?;
    if updated.rows_affected() as usize == levels.len() {
        return Ok(());
    }
    Err(Inconsistency {
        table: "stock_levels",
        column: "version",
        key: format!("{} levels", levels.len()),
        value: format!("{} were as they had been read", updated.rows_affected()),
    }
    .into())
}

/// Writes the copies of their locations' states into levels that this transaction locked and wrote.
pub async fn update_level_states(
    conn: &mut PgConnection,
    levels: &[(LevelKey, LocationState)],
) -> Result<(), sqlx::Error> {
    let skus: Vec<&str> = levels.iter().map(|(key, _)| key.sku.as_str()).collect();
    let locations: Vec<&str> = levels.iter().map(|(key, _)| key.location.as_str()).collect();
    let is = |wanted| levels.iter().map(|(_, state)| *state == wanted).collect::<Vec<bool>>();
    sqlx::query!(
        r#"
        UPDATE inventory.stock_levels
           SET location_active = changed.active
             , location_closed = changed.closed
          FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BOOLEAN[], $4::BOOLEAN[])
               AS changed (sku, location_id, active, closed)
         WHERE stock_levels.sku = changed.sku
           AND stock_levels.location_id = changed.location_id
        "#,
        &skus as &[&str],
        &locations as &[&str],
        &is(LocationState::Active),
        &is(LocationState::Closed),
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn columns<K: Borrow<LevelKey>>(keys: &[K]) -> (Vec<&str>, Vec<&str>) {
    keys.iter().map(|key| (key.borrow().sku.as_str(), key.borrow().location.as_str())).unzip()
}

/// The SKUs that have a level at a location, of a range with both ends included.
pub async fn list_skus(
    pool: &PgPool,
    location: &LocationId,
    first: Option<&Sku>,
    last: Option<&Sku>,
    limit: i64,
) -> Result<Vec<Sku>, sqlx::Error> {
    let skus = sqlx::query_scalar!(
        r#"
        SELECT sku
          FROM inventory.stock_levels
         WHERE location_id = $1
           AND NOT kit
           AND NOT EXISTS (
                   SELECT 1
                     FROM inventory.sku_tracking AS tracking
                    WHERE tracking.sku = stock_levels.sku
                      AND tracking.kind <> 'none'
               )
           AND ($2::TEXT IS NULL OR sku >= $2)
           AND ($3::TEXT IS NULL OR sku <= $3)
         ORDER BY sku
         LIMIT $4
        "#,
        location.as_str(),
        first.map(Sku::as_str),
        last.map(Sku::as_str),
        limit,
    )
    .fetch_all(pool)
    .await?;
    skus.iter().map(|sku| super::parse("stock_levels", "sku", sku)).collect()
}

/// Reads a page of levels in (SKU, location) order, after `after`.
pub async fn list_stock_levels(
    pool: &PgPool,
    location: Option<&LocationId>,
    sku: Option<&Sku>,
    after: Option<(&str, &str)>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<StoredLevel>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT sku
             , location_id
             , sellable
             , damaged
             , quarantine
             , soft_held
             , hard_held
             , oversell_facts
             , location_active
             , location_closed
             , safety_stock
             , backorder_limit
             , has_rules
             , kit
             , version
             , updated_at
             , CASE WHEN soft_held = 0 THEN 0 ELSE (
                   SELECT COALESCE(SUM(hold_lines.held), 0)::BIGINT
                     FROM inventory.holds
                     JOIN inventory.hold_lines USING (hold_id)
                    WHERE holds.state = 'held'
                      AND holds.kind = 'soft'
                      AND holds.expires_at <= $6
                      AND hold_lines.sku = stock_levels.sku
                      AND hold_lines.location_id = stock_levels.location_id
               ) END AS "expired!"
          FROM inventory.stock_levels
         WHERE ($1::TEXT IS NULL OR location_id = $1)
           AND ($2::TEXT IS NULL OR sku = $2)
           AND (sku, location_id) > ($3, $4)
         ORDER BY sku, location_id
         LIMIT $5
        "#,
        location.map(LocationId::as_str),
        sku.map(Sku::as_str),
        after.map_or("", |(sku, _)| sku),
        after.map_or("", |(_, location)| location),
        limit,
        now,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StoredLevel {
                key: LevelKey {
                    sku: super::parse("stock_levels", "sku", &row.sku)?,
                    location: super::parse("stock_levels", "location_id", &row.location_id)?,
                },
                level: Level {
                    sellable: row.sellable,
                    damaged: row.damaged,
                    quarantine: row.quarantine,
                    soft_held: row.soft_held,
                    hard_held: row.hard_held,
                    oversell_facts: row.oversell_facts,
                    location: state(row.location_active, row.location_closed),
                    safety_stock: row.safety_stock,
                    backorder_limit: row.backorder_limit,
                    has_rules: row.has_rules,
                    kit: row.kit,
                    version: row.version,
                },
                updated_at: row.updated_at,
                expired: row.expired,
            })
        })
        .collect()
}

/// A level as it can be sold from at an instant: holds past their time count as free, recorded or not.
#[derive(Debug, Clone)]
pub struct LiveLevel {
    pub key: LevelKey,
    pub level: Level,
    /// Of the SKU's policy.
    pub low_threshold: i64,
}

/// Reads the live levels of these SKUs at these locations, by location.
pub async fn list_live_levels(
    pool: &PgPool,
    skus: &[&str],
    location_ids: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<LiveLevel>, sqlx::Error> {
    sqlx::query!(
        r#"
        WITH expired AS (
            SELECT hold_lines.sku
                 , hold_lines.location_id
                 , SUM(hold_lines.held)::BIGINT AS held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
               AND holds.kind = 'soft'
               AND holds.expires_at <= $3
             GROUP BY hold_lines.sku
                    , hold_lines.location_id
        )
        SELECT stock_levels.sku
             , stock_levels.location_id
             , sellable
             , damaged
             , quarantine
             , soft_held - COALESCE(expired.held, 0) AS "soft_held!"
             , hard_held
             , oversell_facts
             , location_active
             , location_closed
             , safety_stock
             , backorder_limit
             , has_rules
             , kit
             , stock_levels.version
             , COALESCE(sku_policies.low_threshold, 0) AS "low_threshold!"
          FROM inventory.stock_levels
          LEFT JOIN expired USING (sku, location_id)
          LEFT JOIN inventory.sku_policies ON sku_policies.sku = stock_levels.sku
         WHERE stock_levels.sku = ANY ($1)
           AND stock_levels.location_id = ANY ($2)
         ORDER BY stock_levels.location_id
        "#,
        skus as &[&str],
        location_ids,
        now,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|row| {
        Ok(LiveLevel {
            key: LevelKey {
                sku: super::parse("stock_levels", "sku", &row.sku)?,
                location: super::parse("stock_levels", "location_id", &row.location_id)?,
            },
            level: Level {
                sellable: row.sellable,
                damaged: row.damaged,
                quarantine: row.quarantine,
                soft_held: row.soft_held,
                hard_held: row.hard_held,
                oversell_facts: row.oversell_facts,
                location: state(row.location_active, row.location_closed),
                safety_stock: row.safety_stock,
                backorder_limit: row.backorder_limit,
                has_rules: row.has_rules,
                kit: row.kit,
                version: row.version,
            },
            low_threshold: row.low_threshold,
        })
    })
    .collect()
}
