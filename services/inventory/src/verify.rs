//! The invariants of design section 7 that these tables can show, checked set-based over whole tables.

use std::collections::BTreeMap;

use oneshelf_kit::verify::Check;
use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::reason::BUILT_IN;

mod consignments;
mod costs;
mod kits;
mod lots;
mod reorder;
mod sourcing;
mod thresholds;

/// Runs every check of this service.
pub async fn verify(pool: &PgPool) -> Result<Vec<Check>, sqlx::Error> {
    let mut checks = vec![
        levels_equal_ledger(pool).await?,
        buckets_not_negative(pool).await?,
        never_promised_more_than_there_is(pool).await?,
        promises_equal_open_holds(pool).await?,
        holds_resolve_once(pool).await?,
        transfers_equal_ledger(pool).await?,
        allocations_equal_holds(pool).await?,
        claims_are_covered(pool).await?,
        promises_equal_holds(pool).await?,
        deliveries_equal_ledger(pool).await?,
        notices_are_advised(pool).await?,
        counts_equal_ledger(pool).await?,
        balances_equal_ledger(pool).await?,
        reasons_are_known(pool).await?,
        movements_count_once(pool).await?,
        levels_follow_locations(pool).await?,
        levels_have_their_policies(pool).await?,
        fences_count_their_holds(pool).await?,
        counters_count_soft_holds(pool).await?,
        reorder::policies_are_remembered(pool).await?,
        thresholds::totals_equal_parts(pool).await?,
        thresholds::parts_equal_levels(pool).await?,
        consignments::stock_equals_entries(pool).await?,
        consignments::entries_have_movements(pool).await?,
        costs::costs_are_remembered(pool).await?,
        kits::held_whole(pool).await?,
        kits::announced_as_they_are(pool).await?,
        kits::have_nothing_of_their_own(pool).await?,
        lots::add_up_to_levels(pool).await?,
        lots::equal_ledger(pool).await?,
        lots::held_as_holds_say(pool).await?,
        lots::sent_as_ledger_says(pool).await?,
    ];
    checks.extend(sourcing::checks(pool).await?);
    Ok(checks)
}

async fn levels_equal_ledger(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH flows AS (
            SELECT sku
                 , location_id
                 , SUM(delta) FILTER (WHERE bucket = 'sellable') AS sellable
                 , SUM(delta) FILTER (WHERE bucket = 'damaged') AS damaged
                 , SUM(delta) FILTER (WHERE bucket = 'quarantine') AS quarantine
              FROM (
                       SELECT sku
                            , target_location_id AS location_id
                            , target AS bucket
                            , quantity AS delta
                         FROM inventory.ledger_entries
                        WHERE target_location_id IS NOT NULL
                        UNION ALL
                       SELECT sku
                            , source_location_id
                            , source
                            , - quantity
                         FROM inventory.ledger_entries
                        WHERE source_location_id IS NOT NULL
                   ) AS postings
             GROUP BY sku
                    , location_id
        )
           , compared AS (
            SELECT COALESCE(levels.sku, flows.sku) || ' at ' || COALESCE(levels.location_id, flows.location_id) AS name
                 , COALESCE(levels.sellable, 0) = COALESCE(flows.sellable, 0)
               AND COALESCE(levels.damaged, 0) = COALESCE(flows.damaged, 0)
               AND COALESCE(levels.quarantine, 0) = COALESCE(flows.quarantine, 0) AS holds
              FROM inventory.stock_levels AS levels
              FULL JOIN flows USING (sku, location_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM compared
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q1",
        what: "on hand per bucket equals the sum of the ledger, per (SKU, location)",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn buckets_not_negative(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT sku || ' at ' || location_id AS name
                 , (sellable >= 0 OR locations.oversell_facts) AND damaged >= 0 AND quarantine >= 0 AS holds
              FROM inventory.stock_levels
              JOIN inventory.locations USING (location_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q2",
        what: "no bucket is below zero but where the location lets a till's fact do so",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// At every committed version of a level: what was promised at that version was there. Versions order ledger and holds of
/// a (SKU, location) in one line, so the sums run over every prefix of its history and not only over its end; what may be
/// promised beyond what is there is the backorder limit that held at that version. Facts (a till's sale, a loss found) may take what is promised, also in the very group that promised it: what they took in a
/// version still counts as there for the grants of that version.
async fn never_promised_more_than_there_is(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH steps AS (
            SELECT sku
                 , target_location_id AS location_id
                 , level_version AS version
                 , quantity AS sellable
                 , 0::BIGINT AS promised
                 , 0::BIGINT AS taken_by_facts
                 , FALSE AS grants
              FROM inventory.ledger_entries
             WHERE target = 'sellable'
             UNION ALL
            SELECT sku
                 , source_location_id
                 , level_version
                 , - quantity
                 , 0
                 , CASE WHEN reason IN ('sale', 'transfer_shipped') THEN 0 ELSE quantity END
                 , FALSE
              FROM inventory.ledger_entries
             WHERE source = 'sellable'
             UNION ALL
            SELECT sku
                 , location_id
                 , granted_version
                 , 0
                 , held
                 , 0
                 , TRUE
              FROM inventory.hold_lines
             WHERE held > 0
             UNION ALL
            SELECT sku
                 , location_id
                 , resolved_version
                 , 0
                 , - held
                 , 0
                 , FALSE
              FROM inventory.hold_lines
             WHERE held > 0
               AND resolved_version IS NOT NULL
        )
           , versions AS (
            SELECT sku
                 , location_id
                 , version
                 , SUM(sellable) AS sellable
                 , SUM(promised) AS promised
                 , SUM(taken_by_facts) AS taken_by_facts
                 , BOOL_OR(grants) AS grants
              FROM steps
             GROUP BY sku
                    , location_id
                    , version
        )
           , running AS (
            SELECT sku
                 , location_id
                 , version
                 , grants
                 , SUM(sellable) OVER level + taken_by_facts AS sellable
                 , SUM(promised) OVER level AS promised
              FROM versions
            WINDOW level AS (PARTITION BY sku, location_id ORDER BY version)
        )
           , judged AS (
            SELECT sku || ' at ' || location_id || ' version ' || version AS name
                 , NOT grants OR promised <= sellable + GREATEST(
                       -- What held before the group counts as well: the group may have set it after its grants.
                       (
                           SELECT backorder_limit
                             FROM inventory.stock_policy_changes AS change
                            WHERE change.sku = running.sku
                              AND change.location_id = running.location_id
                              AND change.level_version < running.version
                            ORDER BY change.version DESC
                            LIMIT 1
                       )
                     , (
                           SELECT MAX(backorder_limit)
                             FROM inventory.stock_policy_changes AS change
                            WHERE change.sku = running.sku
                              AND change.location_id = running.location_id
                              AND change.level_version = running.version
                       )
                     , 0
                   ) AS holds
              FROM running
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q3",
        what: "whenever a hold was granted, soft + hard were at most what was sellable or might be backordered: at every version of every level",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn promises_equal_open_holds(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH open AS (
            SELECT hold_lines.sku
                 , hold_lines.location_id
                 , SUM(held) FILTER (WHERE holds.kind = 'soft') AS soft
                 , SUM(held) FILTER (WHERE holds.kind = 'hard') AS hard
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
             GROUP BY hold_lines.sku
                    , hold_lines.location_id
        )
           , judged AS (
            SELECT COALESCE(levels.sku, open.sku) || ' at ' || COALESCE(levels.location_id, open.location_id) AS name
                 , COALESCE(levels.soft_held, 0) = COALESCE(open.soft, 0)
               AND COALESCE(levels.hard_held, 0) = COALESCE(open.hard, 0) AS holds
              FROM inventory.stock_levels AS levels
              FULL JOIN open USING (sku, location_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q3",
        what: "a level's promised units equal its open holds",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn holds_resolve_once(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH taken AS (
            SELECT movement_id AS hold_id
                 , SUM(quantity) AS quantity
              FROM inventory.ledger_entries
             WHERE source = 'sellable'
               AND target IN ('customer', 'in_transit')
             GROUP BY movement_id
        )
           , lines AS (
            SELECT hold_id
                 , SUM(held) AS held
                 , SUM(committed) AS committed
                 , COUNT(*) FILTER (WHERE held > 0 AND resolved_version IS NULL) AS open
              FROM inventory.hold_lines
             GROUP BY hold_id
        )
           , judged AS (
            SELECT holds.hold_id::TEXT AS name
                 , lines.held > 0
               AND CASE holds.state
                       WHEN 'held' THEN lines.committed = 0 AND taken.quantity IS NULL
                       WHEN 'committed' THEN lines.committed > 0
                            AND lines.committed = taken.quantity
                            AND lines.open = 0
                       ELSE lines.committed = 0 AND taken.quantity IS NULL AND lines.open = 0
                   END AS holds
              FROM inventory.holds
              JOIN lines USING (hold_id)
              LEFT JOIN taken USING (hold_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q6",
        what: "a hold resolves once: what it committed is what the ledger took, and only a committed hold took anything",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn transfers_equal_ledger(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH moved AS (
            SELECT reference
                 , sku
                 , SUM(CASE WHEN target = 'in_transit' THEN quantity ELSE - quantity END) AS in_transit
                 , COALESCE(SUM(quantity) FILTER (WHERE reason = 'transfer_shipped'), 0)
                 - COALESCE(SUM(quantity) FILTER (WHERE reason = 'transfer_turned_back'), 0) AS shipped
                 , COALESCE(SUM(quantity) FILTER (WHERE reason = 'transfer_received'), 0) AS received
                 , COALESCE(SUM(quantity) FILTER (WHERE reason = 'transfer_lost'), 0) AS lost
              FROM inventory.ledger_entries
             WHERE 'in_transit' IN (source, target)
             GROUP BY reference
                    , sku
        )
           , judged AS (
            SELECT COALESCE(lines.sku, moved.sku) || ' of transfer '
                || COALESCE(lines.transfer_id::TEXT, moved.reference) AS name
                 , COALESCE(lines.shipped, 0) = COALESCE(moved.shipped, 0)
               AND COALESCE(lines.received, 0) = COALESCE(moved.received, 0)
               AND COALESCE(lines.in_transit, 0) = COALESCE(moved.in_transit, 0)
               AND COALESCE(lines.lost, 0) = COALESCE(moved.lost, 0)
               AND COALESCE(lines.shipped = lines.received + lines.in_transit + lines.lost, FALSE) AS holds
              FROM inventory.transfer_lines AS lines
              FULL JOIN moved ON moved.reference = lines.transfer_id::TEXT AND moved.sku = lines.sku
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q9",
        what: "shipped = received + in transit + lost, per line of a transfer, and each is what the ledger says",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn allocations_equal_holds(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH held AS (
            SELECT hold_lines.hold_id
                 , hold_lines.sku
                 , hold_lines.location_id
                 , SUM(hold_lines.held) AS held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
             GROUP BY hold_lines.hold_id
                    , hold_lines.sku
                    , hold_lines.location_id
        )
           , judged AS (
            SELECT lines.sku || ' of transfer ' || lines.transfer_id AS name
                 , lines.allocated = COALESCE(held.held, 0) AS holds
              FROM inventory.transfer_lines AS lines
              JOIN inventory.transfers USING (transfer_id)
              LEFT JOIN held ON held.hold_id = transfers.hold_id
                            AND held.sku = lines.sku
                            AND held.location_id = transfers.source_location_id
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q9",
        what: "what a transfer has allocated is what its hold holds at the source",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// For each day: what is claimed by then, less what is known to be uncovered, is at most what is due by then.
async fn claims_are_covered(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH supply AS (
            SELECT sku
                 , location_id
                 , expected_on AS day
                 , due AS quantity
              FROM inventory.inbound_lines
             WHERE due > 0
             UNION ALL
            SELECT transfer_lines.sku
                 , transfers.destination_location_id
                 , transfers.expected_on
                 , transfer_lines.in_transit
              FROM inventory.transfer_lines
              JOIN inventory.transfers USING (transfer_id)
             WHERE transfer_lines.in_transit > 0
               AND transfers.expected_on IS NOT NULL
        )
           , days AS (
            SELECT sku
                 , location_id
                 , day
                 , quantity AS due
                 , 0::BIGINT AS claimed
              FROM supply
             UNION ALL
            SELECT sku
                 , location_id
                 , due_on
                 , 0
                 , waiting - uncovered
              FROM inventory.promise_lines
             WHERE waiting > 0
        )
           , summed AS (
            SELECT sku
                 , location_id
                 , day
                 , SUM(due) AS due
                 , SUM(claimed) AS claimed
              FROM days
             GROUP BY sku
                    , location_id
                    , day
        )
           , judged AS (
            SELECT sku || ' at ' || location_id || ' by ' || day AS name
                 , SUM(claimed) OVER until <= SUM(due) OVER until AS holds
              FROM summed
            WINDOW until AS (PARTITION BY sku, location_id ORDER BY day)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q5",
        what: "no unit to come is promised twice: by each day what is claimed is at most what is due",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn promises_equal_holds(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH held AS (
            SELECT promise_holds.promise_id
                 , hold_lines.sku
                 , hold_lines.location_id
                 , SUM(hold_lines.held) AS held
              FROM inventory.promise_holds
              JOIN inventory.holds USING (hold_id)
              JOIN inventory.hold_lines USING (hold_id)
             WHERE holds.state = 'held'
             GROUP BY promise_holds.promise_id
                    , hold_lines.sku
                    , hold_lines.location_id
        )
           , judged AS (
            SELECT lines.sku || ' at ' || lines.location_id || ' of promise ' || lines.promise_id AS name
                 , CASE promises.state
                       WHEN 'open' THEN COALESCE(held.held, 0) = lines.quantity - lines.waiting
                       ELSE held.held IS NULL AND lines.waiting = 0
                   END AS holds
              FROM inventory.promise_lines AS lines
              JOIN inventory.promises USING (promise_id)
              LEFT JOIN held USING (promise_id, sku, location_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q5",
        what: "what of an open promise does not wait is held for it; one that is over neither waits nor holds",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// Goods that came on a notice are on its lines and on those of its order, and once in the ledger.
async fn deliveries_equal_ledger(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH booked AS (
            SELECT reference
                 , sku
                 , COALESCE(SUM(quantity) FILTER (WHERE reason = 'inbound_received'), 0) AS stocked
                 , COALESCE(SUM(quantity) FILTER (WHERE reason = 'inbound_quarantined'), 0) AS quarantined
              FROM inventory.ledger_entries
             WHERE reason IN ('inbound_received', 'inbound_quarantined')
             GROUP BY reference
                    , sku
        )
           , noticed AS (
            SELECT inbounds.order_id
                 , lines.sku
                 , SUM(lines.stocked) AS stocked
                 , SUM(lines.quarantined) AS quarantined
              FROM inventory.inbound_lines AS lines
              JOIN inventory.inbounds USING (inbound_id)
             WHERE inbounds.order_id IS NOT NULL
             GROUP BY inbounds.order_id
                    , lines.sku
        )
           , judged AS (
            SELECT COALESCE(lines.sku, booked.sku) || ' of '
                || COALESCE(lines.inbound_id::TEXT, booked.reference) AS name
                 , COALESCE(lines.stocked, 0) = COALESCE(booked.stocked, 0) + COALESCE(noticed.stocked, 0)
               AND COALESCE(lines.quarantined, 0)
                   = COALESCE(booked.quarantined, 0) + COALESCE(noticed.quarantined, 0) AS holds
              FROM inventory.inbound_lines AS lines
              LEFT JOIN noticed ON noticed.order_id = lines.inbound_id AND noticed.sku = lines.sku
              FULL JOIN booked ON booked.reference = lines.inbound_id::TEXT AND booked.sku = lines.sku
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "inbound",
        what: "what orders and notices say was stocked and put in quarantine is what the ledger says",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn notices_are_advised(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH announced AS (
            SELECT inbounds.order_id
                 , lines.sku
                 , SUM(GREATEST(0, lines.expected - lines.received)) AS quantity
              FROM inventory.inbound_lines AS lines
              JOIN inventory.inbounds USING (inbound_id)
             WHERE inbounds.order_id IS NOT NULL
               AND inbounds.state IN ('open', 'receiving', 'complete')
             GROUP BY inbounds.order_id
                    , lines.sku
        )
           , judged AS (
            SELECT lines.sku || ' of ' || lines.inbound_id AS name
                 , lines.advised = COALESCE(announced.quantity, 0)
               AND lines.due = CASE
                       WHEN inbounds.state IN ('closed', 'cancelled') THEN 0
                       ELSE GREATEST(0, lines.expected - lines.received - lines.advised)
                   END AS holds
              FROM inventory.inbound_lines AS lines
              JOIN inventory.inbounds USING (inbound_id)
              LEFT JOIN announced ON announced.order_id = lines.inbound_id AND announced.sku = lines.sku
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "inbound",
        what: "what is due is expected − received − what open notices announce, which is due on their day",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// A frozen figure is the sum of the ledger up to the version that it names; a posted count corrected by what it found
/// to differ, and by nothing else.
async fn counts_equal_ledger(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH corrected AS (
            SELECT reference
                 , sku
                 , SUM(CASE WHEN target_location_id IS NULL THEN - quantity ELSE quantity END) AS quantity
              FROM inventory.ledger_entries
             WHERE reason LIKE 'count\_%'
             GROUP BY reference
                    , sku
        )
           , frozen AS (
            SELECT lines.count_id
                 , lines.sku
                 , SUM(CASE
                       WHEN entries.target = lines.bucket AND entries.target_location_id = lines.location_id
                       THEN entries.quantity
                       ELSE - entries.quantity
                   END) AS quantity
              FROM inventory.count_lines AS lines
              JOIN inventory.ledger_entries AS entries
                ON entries.sku = lines.sku
               AND entries.level_version <= lines.frozen_version
               AND (
                       (entries.target = lines.bucket AND entries.target_location_id = lines.location_id)
                    OR (entries.source = lines.bucket AND entries.source_location_id = lines.location_id)
                   )
             GROUP BY lines.count_id
                    , lines.sku
        )
           , judged AS (
            SELECT COALESCE(lines.sku, corrected.sku) || ' of count '
                || COALESCE(lines.count_id::TEXT, corrected.reference) AS name
                 , COALESCE(
                       lines.expected = COALESCE(frozen.quantity, 0)
                   AND COALESCE(corrected.quantity, 0) = CASE counts.state
                           WHEN 'posted' THEN lines.counted - lines.expected
                           ELSE 0
                       END
                     , FALSE
                   ) AS holds
              FROM inventory.count_lines AS lines
              JOIN inventory.counts USING (count_id)
              LEFT JOIN frozen USING (count_id, sku)
              FULL JOIN corrected ON corrected.reference = lines.count_id::TEXT AND corrected.sku = lines.sku
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "count",
        what: "a count froze what the ledger said, and corrected by what it found to differ",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// What every open hard hold holds, by (hold, SKU, location): for the comparison with what orders believe.
pub async fn hard_held_by_hold(pool: &PgPool) -> Result<BTreeMap<(Uuid, String, String), i64>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT hold_id AS "hold_id!"
             , sku AS "sku!"
             , location_id AS "location_id!"
             , SUM(held)::BIGINT AS "held!"
          FROM (
                   SELECT hold_id
                        , sku
                        , location_id
                        , held
                     FROM inventory.hold_lines
                    WHERE kit_no IS NULL
                    UNION ALL
                   -- A kit is what was asked for; its lines are of its components.
                   SELECT DISTINCT ON (hold_id, kit_no)
                          hold_id
                        , kit_sku
                        , location_id
                        , held / kit_units
                     FROM inventory.hold_lines
                    WHERE kit_no IS NOT NULL
               ) AS asked
          JOIN inventory.holds USING (hold_id)
         WHERE holds.state = 'held'
           AND holds.kind = 'hard'
         GROUP BY hold_id
                , sku
                , location_id
        "#,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.hold_id, row.sku, row.location_id), row.held)).collect())
}

/// Every balance is the sum of the entries before it. Entries and balances of a level stand in one line by time, a
/// balance before the entries of its own instant, and the sum runs along it.
async fn balances_equal_ledger(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH steps AS (
            SELECT sku
                 , COALESCE(source_location_id, target_location_id) AS location_id
                 , effective_at AS at
                 , TRUE AS moves
                 , CASE 'sellable' WHEN target THEN quantity WHEN source THEN - quantity ELSE 0 END AS sellable
                 , CASE 'damaged' WHEN target THEN quantity WHEN source THEN - quantity ELSE 0 END AS damaged
                 , CASE 'quarantine' WHEN target THEN quantity WHEN source THEN - quantity ELSE 0 END AS quarantine
              FROM inventory.ledger_entries
             UNION ALL
            SELECT sku
                 , location_id
                 , period_end
                 , FALSE
                 , sellable
                 , damaged
                 , quarantine
              FROM inventory.ledger_balances
        )
           , running AS (
            SELECT sku
                 , location_id
                 , at
                 , moves
                 , sellable
                 , damaged
                 , quarantine
                 , SUM(sellable) FILTER (WHERE moves) OVER level AS sellable_moved
                 , SUM(damaged) FILTER (WHERE moves) OVER level AS damaged_moved
                 , SUM(quarantine) FILTER (WHERE moves) OVER level AS quarantine_moved
              FROM steps
            WINDOW level AS (PARTITION BY sku, location_id ORDER BY at, moves)
        )
           , judged AS (
            SELECT sku || ' at ' || location_id || ' before ' || at AS name
                 , sellable = COALESCE(sellable_moved, 0)
               AND damaged = COALESCE(damaged_moved, 0)
               AND quarantine = COALESCE(quarantine_moved, 0) AS holds
              FROM running
             WHERE NOT moves
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q1",
        what: "a balance at a month's end equals the sum of the ledger before it, also where entries came late",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn reasons_are_known(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let built_in: Vec<&str> = BUILT_IN.iter().map(|known| known.code).collect();
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT reason AS name
                 , reason = ANY ($1::TEXT[])
                OR EXISTS (
                       SELECT
                         FROM inventory.reason_codes
                        WHERE reason_codes.reason_code = used.reason
                   ) AS holds
              FROM (
                       SELECT DISTINCT reason
                         FROM inventory.ledger_entries
                   ) AS used
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
        &built_in as &[&str],
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q1",
        what: "every reason in the ledger is built in or one of the operator's",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

async fn movements_count_once(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT movements.movement_id::TEXT AS name
                 , movements.answer IS NOT NULL AND COUNT(entry_id) > 0 AND COUNT(entry_id) = COUNT(DISTINCT (line_no, lot)) AS holds
              FROM inventory.movements
              LEFT JOIN inventory.ledger_entries USING (movement_id)
             GROUP BY movements.movement_id
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q7",
        what: "a movement whose id the client made is in the ledger, each of its lines, and of these each lot, once",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// A hold is decided on a level's copy of its location's state, so the copy must be right. A location whose levels are on
/// their way says so. A till's late sale may be booked at a closed location; nothing else may be there.
async fn levels_follow_locations(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT sku || ' at ' || location_id AS name
                 , (
                       levels_behind
                    OR (location_active = (state = 'active') AND location_closed = (state = 'closed'))
                   )
               AND (
                       state <> 'closed'
                    OR (sellable <= 0 AND damaged <= 0 AND quarantine <= 0 AND soft_held = 0 AND hard_held = 0)
                   ) AS holds
              FROM inventory.stock_levels
              JOIN inventory.locations USING (location_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "LO1",
        what: "a level has its location's state, and a closed location has no goods and no promises",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// A hold is decided on a level's copies of its policy, and on rules only where the level says that there may be some.
async fn levels_have_their_policies(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT levels.sku || ' at ' || levels.location_id AS name
                 , levels.safety_stock = COALESCE(policy.safety_stock, 0)
               AND levels.backorder_limit = COALESCE(policy.backorder_limit, 0)
               AND (
                       levels.has_rules
                    OR NOT (
                           COALESCE(
                               policy.excluded OR policy.excluded_channels <> '{}' OR policy.buffers <> '{}'
                             , FALSE
                           )
                        OR COALESCE(
                               sku_policy.network_threshold > 0
                            OR sku_policy.excluded_channels <> '{}'
                            OR sku_policy.shopper_cap IS NOT NULL
                            OR sku_policy.channel_cap IS NOT NULL
                             , FALSE
                           )
                        OR EXISTS (
                               SELECT 1
                                 FROM inventory.ring_fences AS fence
                                WHERE fence.sku = levels.sku
                                  AND fence.location_id = levels.location_id
                                  AND fence.quota > 0
                                  AND NOT fence.released
                           )
                       )
                   ) AS holds
              FROM inventory.stock_levels AS levels
              LEFT JOIN inventory.stock_policies AS policy USING (sku, location_id)
              LEFT JOIN inventory.sku_policies AS sku_policy ON sku_policy.sku = levels.sku
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q4",
        what: "a level has its policy's safety stock and backorder limit, and knows of the rules there are",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// What a live fence counts as used is what the holds say that name its owner and were granted since it began.
async fn fences_count_their_holds(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH judged AS (
            SELECT fence.sku || ' at ' || fence.location_id || ' for ' || fence.owner_id AS name
                 , fence.used = COALESCE(
                       (
                           SELECT SUM(CASE holds.state WHEN 'held' THEN hold_lines.held ELSE hold_lines.committed END)
                             FROM inventory.hold_lines
                             JOIN inventory.holds USING (hold_id)
                            WHERE hold_lines.sku = fence.sku
                              AND hold_lines.location_id = fence.location_id
                              AND hold_lines.held > 0
                              AND hold_lines.granted_version >= fence.begun
                              AND CASE fence.owner_kind
                                      WHEN 'channel' THEN holds.channel_id = fence.owner_id
                                      ELSE holds.partner_id = fence.owner_id
                                  END
                       )
                     , 0
                   ) AS holds
              FROM inventory.ring_fences AS fence
             WHERE fence.quota > 0
               AND NOT fence.released
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "Q4",
        what: "a live ring-fence has used what the holds of its owner took since it began",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// Of SKUs with a cap: what is counted for a shopper or a channel is what its open soft holds hold.
async fn counters_count_soft_holds(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH held AS (
            SELECT hold_lines.sku
                 , holds.shopper_id
                 , holds.channel_id
                 , hold_lines.held
              FROM inventory.holds
              JOIN inventory.hold_lines USING (hold_id)
              JOIN inventory.sku_policies AS policy ON policy.sku = hold_lines.sku
             WHERE holds.state = 'held'
               AND holds.kind = 'soft'
               AND (policy.shopper_cap IS NOT NULL OR policy.channel_cap IS NOT NULL)
        )
           , counted AS (
            SELECT sku
                 , 'shopper' AS holder_kind
                 , shopper_id AS holder_id
                 , SUM(held) AS held
              FROM held
             WHERE shopper_id IS NOT NULL
             GROUP BY sku
                    , shopper_id
             UNION ALL
            SELECT sku
                 , 'channel'
                 , channel_id
                 , SUM(held)
              FROM held
             WHERE channel_id IS NOT NULL
             GROUP BY sku
                    , channel_id
        )
           , judged AS (
            SELECT sku || ' of ' || holder_kind || ' ' || holder_id AS name
                 , COALESCE(counters.soft_held, 0) = COALESCE(counted.held, 0) AS holds
              FROM counted
              FULL JOIN inventory.cap_counters AS counters USING (sku, holder_kind, holder_id)
        )
        SELECT COUNT(*) AS "checked!"
             , COUNT(*) FILTER (WHERE NOT holds) AS "violations!"
             , (ARRAY_AGG(name ORDER BY name) FILTER (WHERE NOT holds))[1:10] AS offenders
          FROM judged
        "#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Check {
        id: "CAP",
        what: "of SKUs with a cap, what is counted is what open soft holds hold, per shopper and channel",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
