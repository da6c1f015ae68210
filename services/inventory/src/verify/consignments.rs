//! Goods that belong to somebody else than the holder of their place.

use oneshelf_kit::verify::Check;
use sqlx::PgPool;

/// What is a partner's came, and is there; what was settled is what its entries say.
pub async fn stock_equals_entries(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH entries AS (
            SELECT sku
                 , location_id
                 , party_id
                 , side
                 , SUM(CASE WHEN cause IN ('received', 'returned') THEN units ELSE - units END) AS units
                 , SUM(CASE WHEN cause IN ('sold', 'taken') THEN units WHEN cause = 'returned' THEN - units ELSE 0 END)
                       AS settled
                 , COUNT(*) FILTER (WHERE cause IN ('sold', 'taken', 'returned')) AS settlements
              FROM inventory.consignment_entries
             GROUP BY sku
                    , location_id
                    , party_id
                    , side
        )
           , judged AS (
            SELECT COALESCE(stock.sku, entries.sku) || ' at ' || COALESCE(stock.location_id, entries.location_id)
                || ' of ' || COALESCE(stock.party_id, entries.party_id) AS name
                 , COALESCE(stock.units, 0) = CASE COALESCE(stock.side, entries.side)
                       WHEN 'theirs' THEN COALESCE(entries.units, 0)
                       ELSE 0
                   END
               AND COALESCE(stock.settled, 0) = COALESCE(entries.settled, 0)
               AND COALESCE(stock.settlements, 0) = COALESCE(entries.settlements, 0)
               AND COALESCE(stock.units, 0) <= GREATEST(0, level.sellable + level.damaged + level.quarantine)
               AND (level.has_rules OR (COALESCE(stock.units, 0) = 0 AND COALESCE(stock.settled, 0) = 0)) AS holds
              FROM inventory.consignment_stock AS stock
              FULL JOIN entries USING (sku, location_id, party_id, side)
              JOIN inventory.stock_levels AS level
                ON level.sku = COALESCE(stock.sku, entries.sku)
               AND level.location_id = COALESCE(stock.location_id, entries.location_id)
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
        id: "CO1",
        what: "what is a partner's is what came less what went back and was settled, and no more than is there",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}

/// Each entry has its movement, of at least as many units, and where units of a partner changed their owner the ledger says
/// so; and nothing else in the ledger does.
pub async fn entries_have_movements(pool: &PgPool) -> Result<Check, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        WITH changes AS (
            SELECT movement_id
                 , line_no % 10000 AS line_no
                 , sku
                 , owner_id
                 , reason
                 , line_no >= 20000 AS taken
                 , quantity
              FROM inventory.ledger_entries
             WHERE reason IN ('consignment_sold', 'consignment_returned')
               AND effective_at >= (SELECT COALESCE(MIN(effective_at), 'infinity') FROM inventory.consignment_entries)
        )
           , owned AS (
            SELECT *
                 , CASE cause WHEN 'returned' THEN 'consignment_returned' ELSE 'consignment_sold' END AS reason
              FROM inventory.consignment_entries
             WHERE side = 'theirs'
               AND cause IN ('sold', 'taken', 'returned')
        )
           , judged AS (
            SELECT COALESCE(owned.movement_id, changes.movement_id) || '/' || COALESCE(owned.line_no, changes.line_no)
                       AS name
                 , COALESCE(owned.units = changes.quantity, FALSE) AS holds
              FROM owned
              FULL JOIN changes
                ON changes.movement_id = owned.movement_id
               AND changes.line_no = owned.line_no
               AND changes.sku = owned.sku
               AND changes.owner_id = owned.party_id
               AND changes.reason = owned.reason
               AND changes.taken = (owned.cause = 'taken')
             UNION ALL
            SELECT entry.movement_id || '/' || entry.line_no
                 , EXISTS (
                       SELECT
                         FROM inventory.ledger_entries AS ledger
                        WHERE ledger.movement_id = entry.movement_id
                          AND ledger.line_no = entry.line_no
                          AND ledger.sku = entry.sku
                          AND ledger.effective_at = entry.effective_at
                          AND COALESCE(ledger.source_location_id, ledger.target_location_id) = entry.location_id
                          AND (entry.cause = 'taken' OR ledger.quantity >= entry.units)
                          AND CASE entry.cause
                                  WHEN 'sold' THEN ledger.target = 'customer'
                                  WHEN 'returned' THEN ledger.source = 'customer'
                                  WHEN 'received' THEN ledger.source = 'consignment'
                                  WHEN 'sent_back' THEN ledger.target = 'consignment'
                                  ELSE TRUE
                              END
                   )
              FROM inventory.consignment_entries AS entry
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
        id: "CO2",
        what: "every entry of consignment has its movement, and every change of owner in the ledger its entry",
        checked: row.checked,
        violations: row.violations,
        offenders: row.offenders.unwrap_or_default(),
    })
}
