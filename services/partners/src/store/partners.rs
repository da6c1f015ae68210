//! The partners' records. The credit limit is kept on the account; it is written and read here with the record.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::{Money, PartnerId, PriceListId};
use sqlx::{PgConnection, PgPool};

use super::inconsistent;
use crate::domain::{Partner, Standing, Tier};

struct PartnerRow {
    partner_id: PartnerId,
    title: String,
    tier: String,
    price_list_id: Option<PriceListId>,
    suspended_reason: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    currency: String,
    limit_minor: i64,
}

impl TryFrom<PartnerRow> for Partner {
    type Error = sqlx::Error;

    fn try_from(row: PartnerRow) -> Result<Self, sqlx::Error> {
        let currency = row.currency.parse().map_err(|error| inconsistent("credit_accounts", &row.partner_id, error))?;
        let tier = parse_tier(&row.tier).ok_or_else(|| inconsistent("partners", &row.partner_id, "unknown tier"))?;
        Ok(Self {
            id: row.partner_id,
            title: row.title,
            tier,
            price_list: row.price_list_id,
            credit_limit: Money::new(row.limit_minor, currency),
            standing: standing(row.suspended_reason),
            version: row.version,
            created_at: row.created_at,
        })
    }
}

/// Adds a partner with its credit account. `false`: the id is taken.
pub(crate) async fn insert_partner(conn: &mut PgConnection, partner: &Partner) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        r"
        WITH partner AS (
            INSERT INTO partners.partners (
                partner_id
              , title
              , tier
              , price_list_id
              , state
              , version
              , created_at
              , updated_at
            )
            VALUES ($1, $2, $3, $4, 'active', $5, $6, $6)
            ON CONFLICT (partner_id) DO NOTHING
            RETURNING partner_id
        )
        INSERT INTO partners.credit_accounts (
            partner_id
          , currency
          , limit_minor
          , used_minor
          , held_minor
          , version
          , updated_at
        )
        SELECT partner_id, $7, $8, 0, 0, 1, $6
        FROM partner
        ",
        partner.id.as_str(),
        partner.title,
        tier_name(partner.tier),
        partner.price_list.as_ref().map(PriceListId::as_str),
        partner.version,
        partner.created_at,
        partner.credit_limit.currency().code(),
        partner.credit_limit.minor(),
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Takes the lock of the partner's account, the gate of every change, and reads the record under it.
pub(crate) async fn lock_partner(conn: &mut PgConnection, id: &PartnerId) -> Result<Option<Partner>, sqlx::Error> {
    let locked = sqlx::query!(
        r"
        SELECT partner_id
        FROM partners.credit_accounts
        WHERE partner_id = $1
        FOR UPDATE
        ",
        id.as_str(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    // A second statement: its snapshot is younger than the lock, so it sees what the last holder of the lock wrote.
    if locked.is_some() { find_partner(conn, id).await } else { Ok(None) }
}

pub(crate) async fn find_partner(
    db: impl sqlx::PgExecutor<'_>,
    id: &PartnerId,
) -> Result<Option<Partner>, sqlx::Error> {
    sqlx::query_as!(
        PartnerRow,
        r#"
        SELECT p.partner_id AS "partner_id: PartnerId"
             , p.title
             , p.tier
             , p.price_list_id AS "price_list_id: PriceListId"
             , p.suspended_reason
             , p.version
             , p.created_at
             , a.currency
             , a.limit_minor
        FROM partners.partners p
        JOIN partners.credit_accounts a USING (partner_id)
        WHERE p.partner_id = $1
        "#,
        id.as_str(),
    )
    .fetch_optional(db)
    .await?
    .map(Partner::try_from)
    .transpose()
}

/// One page by id: partners after `after`, and only `only` for a caller who may see no other.
pub(crate) async fn list_partners(
    pool: &PgPool,
    only: Option<&PartnerId>,
    after: Option<&PartnerId>,
    limit: i64,
) -> Result<Vec<Partner>, sqlx::Error> {
    sqlx::query_as!(
        PartnerRow,
        r#"
        SELECT p.partner_id AS "partner_id: PartnerId"
             , p.title
             , p.tier
             , p.price_list_id AS "price_list_id: PriceListId"
             , p.suspended_reason
             , p.version
             , p.created_at
             , a.currency
             , a.limit_minor
        FROM partners.partners p
        JOIN partners.credit_accounts a USING (partner_id)
        WHERE ($1::TEXT IS NULL OR p.partner_id = $1)
          AND ($2::TEXT IS NULL OR p.partner_id > $2)
        ORDER BY p.partner_id
        LIMIT $3
        "#,
        only.map(PartnerId::as_str),
        after.map(PartnerId::as_str),
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Partner::try_from)
    .collect()
}

/// Writes a changed record; the caller holds the account's lock.
pub(crate) async fn update_partner(
    conn: &mut PgConnection,
    partner: &Partner,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (state, reason) = match &partner.standing {
        Standing::Active => ("active", None),
        Standing::Suspended { reason } => ("suspended", Some(reason.as_str())),
    };
    let updated = sqlx::query!(
        r"
        WITH account AS (
            UPDATE partners.credit_accounts
            SET limit_minor = $5
              , version = version + 1
              , updated_at = $6
            WHERE partner_id = $1 AND limit_minor <> $5
        )
        UPDATE partners.partners
        SET state = $2
          , suspended_reason = $3
          , version = $4::BIGINT
          , updated_at = $6
        WHERE partner_id = $1 AND version = $4::BIGINT - 1
        ",
        partner.id.as_str(),
        state,
        reason,
        partner.version,
        partner.credit_limit.minor(),
        now,
    )
    .execute(conn)
    .await?;
    if updated.rows_affected() == 1 {
        Ok(())
    } else {
        Err(inconsistent("partners", &partner.id, "changed by somebody without the account's lock"))
    }
}

/// Whether business is done with each of the partners. Read after their accounts are locked.
pub(crate) async fn list_standings(
    conn: &mut PgConnection,
    ids: &[PartnerId],
) -> Result<HashMap<PartnerId, Standing>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT partner_id AS "partner_id: PartnerId"
             , suspended_reason
        FROM partners.partners
        WHERE partner_id = ANY ($1)
        "#,
        ids as &[PartnerId],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.partner_id, standing(row.suspended_reason))).collect())
}

fn standing(suspended_reason: Option<String>) -> Standing {
    suspended_reason.map_or(Standing::Active, |reason| Standing::Suspended { reason })
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Standard => "standard",
        Tier::Silver => "silver",
        Tier::Gold => "gold",
    }
}

fn parse_tier(text: &str) -> Option<Tier> {
    [Tier::Standard, Tier::Silver, Tier::Gold].into_iter().find(|tier| tier_name(*tier) == text)
}
