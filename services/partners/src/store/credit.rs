//! Accounts, holds and entries. Every statement takes arrays: a group of commands costs the same round trips as one.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use oneshelf_values::{Hold, HoldId, HoldState, HoldTerms, PartnerId};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::inconsistent;
use crate::domain::{Account, CreditHold, Entry, EntryReason, Evidence};

struct AccountRow {
    partner_id: PartnerId,
    currency: String,
    limit_minor: i64,
    used_minor: i64,
    held_minor: i64,
    version: i64,
}

impl TryFrom<AccountRow> for Account {
    type Error = sqlx::Error;

    fn try_from(row: AccountRow) -> Result<Self, sqlx::Error> {
        let currency = row.currency.parse().map_err(|error| inconsistent("credit_accounts", &row.partner_id, error))?;
        Ok(Self {
            partner_id: row.partner_id,
            currency,
            limit_minor: row.limit_minor,
            used_minor: row.used_minor,
            held_minor: row.held_minor,
            version: row.version,
        })
    }
}

/// Locks accounts in partner order, the order of the set; unknown ones are missing from the answer.
pub(crate) async fn lock_accounts(
    conn: &mut PgConnection,
    ids: &BTreeSet<PartnerId>,
) -> Result<HashMap<PartnerId, Account>, sqlx::Error> {
    let ids: Vec<PartnerId> = ids.iter().cloned().collect();
    let rows = sqlx::query_as!(
        AccountRow,
        r#"
        SELECT partner_id AS "partner_id: PartnerId"
             , currency
             , limit_minor
             , used_minor
             , held_minor
             , version
        FROM partners.credit_accounts
        WHERE partner_id = ANY ($1)
        ORDER BY partner_id
        FOR UPDATE
        "#,
        &ids as &[PartnerId],
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Account::try_from(row).map(|account| (account.partner_id.clone(), account))).collect()
}

pub(crate) async fn find_account(db: impl PgExecutor<'_>, id: &PartnerId) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        r#"
        SELECT partner_id AS "partner_id: PartnerId"
             , currency
             , limit_minor
             , used_minor
             , held_minor
             , version
        FROM partners.credit_accounts
        WHERE partner_id = $1
        "#,
        id.as_str(),
    )
    .fetch_optional(db)
    .await?
    .map(Account::try_from)
    .transpose()
}

/// Writes back what the group made of locked accounts.
pub(crate) async fn update_accounts(
    conn: &mut PgConnection,
    accounts: &[&Account],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if accounts.is_empty() {
        return Ok(());
    }
    let ids: Vec<PartnerId> = accounts.iter().map(|account| account.partner_id.clone()).collect();
    let used: Vec<i64> = accounts.iter().map(|account| account.used_minor).collect();
    let held: Vec<i64> = accounts.iter().map(|account| account.held_minor).collect();
    let versions: Vec<i64> = accounts.iter().map(|account| account.version).collect();
    sqlx::query!(
        r"
        UPDATE partners.credit_accounts a
        SET used_minor = new.used_minor
          , held_minor = new.held_minor
          , version = new.version
          , updated_at = $5
        FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
            AS new (partner_id, used_minor, held_minor, version)
        WHERE a.partner_id = new.partner_id
        ",
        &ids as &[PartnerId],
        &used,
        &held,
        &versions,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Whose account each hold is on. Needs no lock: a hold never changes its partner. Unknown holds are missing.
pub(crate) async fn list_hold_partners(
    conn: &mut PgConnection,
    ids: &[HoldId],
) -> Result<HashMap<HoldId, PartnerId>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT hold_id AS "hold_id: HoldId"
             , partner_id AS "partner_id: PartnerId"
        FROM partners.credit_holds
        WHERE hold_id = ANY ($1)
        "#,
        ids as &[HoldId],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.hold_id, row.partner_id)).collect())
}

/// A hold with the digest of the request that made it.
#[derive(Debug, Clone)]
pub(crate) struct StoredHold {
    pub(crate) hold: CreditHold,
    pub(crate) fingerprint: [u8; 32],
}

struct HoldRow {
    hold_id: HoldId,
    partner_id: PartnerId,
    currency: String,
    amount_minor: i64,
    captured_minor: i64,
    state: String,
    exposure_minor: i64,
    limit_minor: i64,
    reference: String,
    fingerprint: Vec<u8>,
    created_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
}

impl TryFrom<HoldRow> for StoredHold {
    type Error = sqlx::Error;

    fn try_from(row: HoldRow) -> Result<Self, sqlx::Error> {
        let state = match (row.state.as_str(), row.resolved_at) {
            ("held", None) => HoldState::Held,
            ("captured", Some(at)) => HoldState::Committed { at, amounts: vec![row.captured_minor] },
            ("released", Some(at)) => HoldState::Released { at },
            _ => return Err(misfit(row.hold_id, "unknown state")),
        };
        let hold = Hold::restore(HoldTerms::Hard, vec![row.amount_minor], state)
            .map_err(|error| misfit(row.hold_id, error))?;
        Ok(Self {
            fingerprint: row.fingerprint.try_into().map_err(|_| misfit(row.hold_id, "fingerprint"))?,
            hold: CreditHold {
                id: row.hold_id,
                partner_id: row.partner_id,
                currency: row.currency.parse().map_err(|error| misfit(row.hold_id, error))?,
                hold,
                evidence: Evidence { exposure_minor: row.exposure_minor, limit_minor: row.limit_minor },
                reference: row.reference,
                created_at: row.created_at,
            },
        })
    }
}

fn misfit(id: HoldId, what: impl std::fmt::Display) -> sqlx::Error {
    inconsistent("credit_holds", id, what)
}

/// Reads holds; their accounts are locked, so nobody resolves them meanwhile.
pub(crate) async fn list_holds(
    conn: &mut PgConnection,
    ids: &[HoldId],
) -> Result<HashMap<HoldId, StoredHold>, sqlx::Error> {
    let rows = sqlx::query_as!(
        HoldRow,
        r#"
        SELECT h.hold_id AS "hold_id: HoldId"
             , h.partner_id AS "partner_id: PartnerId"
             , a.currency
             , h.amount_minor
             , h.captured_minor
             , h.state
             , h.exposure_minor
             , h.limit_minor
             , h.reference
             , h.fingerprint
             , h.created_at
             , h.resolved_at
        FROM partners.credit_holds h
        JOIN partners.credit_accounts a USING (partner_id)
        WHERE h.hold_id = ANY ($1)
        "#,
        ids as &[HoldId],
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| StoredHold::try_from(row).map(|stored| (stored.hold.id, stored))).collect()
}

/// Inserts granted holds. A hold that was granted and resolved in one group is inserted as it ends. An id that somebody
/// else took for another partner meanwhile breaks the primary key: the command runs again and finds that hold.
pub(crate) async fn insert_holds(conn: &mut PgConnection, holds: &[&StoredHold]) -> Result<(), sqlx::Error> {
    if holds.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&StoredHold> = holds.to_vec();
    sorted.sort_unstable_by_key(|stored| stored.hold.id);
    let column = |of: fn(&CreditHold) -> i64| sorted.iter().map(|stored| of(&stored.hold)).collect::<Vec<i64>>();
    sqlx::query!(
        r"
        INSERT INTO partners.credit_holds (
            hold_id
          , partner_id
          , amount_minor
          , captured_minor
          , state
          , exposure_minor
          , limit_minor
          , reference
          , fingerprint
          , created_at
          , resolved_at
        )
        SELECT *
        FROM UNNEST(
            $1::UUID[]
          , $2::TEXT[]
          , $3::BIGINT[]
          , $4::BIGINT[]
          , $5::TEXT[]
          , $6::BIGINT[]
          , $7::BIGINT[]
          , $8::TEXT[]
          , $9::BYTEA[]
          , $10::TIMESTAMPTZ[]
          , $11::TIMESTAMPTZ[]
        )
        ",
        &sorted.iter().map(|stored| stored.hold.id).collect::<Vec<_>>() as &[HoldId],
        &sorted.iter().map(|stored| stored.hold.partner_id.clone()).collect::<Vec<_>>() as &[PartnerId],
        &column(|hold| hold.amount().minor()),
        &column(|hold| hold.captured().minor()),
        &sorted.iter().map(|stored| state_name(&stored.hold).to_owned()).collect::<Vec<_>>(),
        &column(|hold| hold.evidence.exposure_minor),
        &column(|hold| hold.evidence.limit_minor),
        &sorted.iter().map(|stored| stored.hold.reference.clone()).collect::<Vec<_>>(),
        &sorted.iter().map(|stored| stored.fingerprint.to_vec()).collect::<Vec<_>>(),
        &sorted.iter().map(|stored| stored.hold.created_at).collect::<Vec<_>>(),
        &sorted.iter().map(|stored| stored.hold.hold.resolved_at()).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records how holds were resolved.
pub(crate) async fn resolve_holds(conn: &mut PgConnection, holds: &[&StoredHold]) -> Result<(), sqlx::Error> {
    if holds.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r"
        UPDATE partners.credit_holds h
        SET captured_minor = resolved.captured_minor
          , state = resolved.state
          , resolved_at = resolved.resolved_at
        FROM UNNEST($1::UUID[], $2::BIGINT[], $3::TEXT[], $4::TIMESTAMPTZ[])
            AS resolved (hold_id, captured_minor, state, resolved_at)
        WHERE h.hold_id = resolved.hold_id
        ",
        &holds.iter().map(|stored| stored.hold.id).collect::<Vec<_>>() as &[HoldId],
        &holds.iter().map(|stored| stored.hold.captured().minor()).collect::<Vec<_>>(),
        &holds.iter().map(|stored| state_name(&stored.hold).to_owned()).collect::<Vec<_>>(),
        &holds.iter().map(|stored| stored.hold.hold.resolved_at()).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Appends entries in the order they were decided.
pub(crate) async fn insert_entries(conn: &mut PgConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r"
        INSERT INTO partners.credit_entries (
            partner_id
          , reason
          , amount_minor
          , reference
          , cause_id
          , created_at
        )
        SELECT partner_id
             , reason
             , amount_minor
             , reference
             , cause_id
             , created_at
        FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[], $5::UUID[], $6::TIMESTAMPTZ[])
            WITH ORDINALITY AS entry (partner_id, reason, amount_minor, reference, cause_id, created_at, nth)
        ORDER BY nth
        ",
        &entries.iter().map(|entry| entry.partner_id.clone()).collect::<Vec<_>>() as &[PartnerId],
        &entries.iter().map(|entry| reason_name(entry.reason).to_owned()).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.amount_minor).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.reference.clone()).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.cause_id).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.created_at).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Of the given returns those that were booked before.
pub(crate) async fn list_booked_returns(
    conn: &mut PgConnection,
    return_ids: &[Uuid],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let booked = sqlx::query_scalar!(
        r"
        SELECT cause_id
        FROM partners.credit_entries
        WHERE reason = 'return' AND cause_id = ANY ($1)
        ",
        return_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(booked.into_iter().collect())
}

/// One page of an account's history, newest first: entries below `before`, each with its sequence.
pub(crate) async fn list_entries(
    pool: &PgPool,
    partner_id: &PartnerId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<(i64, Entry)>, sqlx::Error> {
    let rows = sqlx::query!(
        r"
        SELECT sequence
             , reason
             , amount_minor
             , reference
             , cause_id
             , created_at
        FROM partners.credit_entries
        WHERE partner_id = $1
          AND ($2::BIGINT IS NULL OR sequence < $2)
        ORDER BY sequence DESC
        LIMIT $3
        ",
        partner_id.as_str(),
        before,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let reason = parse_reason(&row.reason)
                .ok_or_else(|| inconsistent("credit_entries", row.sequence, "unknown reason"))?;
            let entry = Entry {
                partner_id: partner_id.clone(),
                reason,
                amount_minor: row.amount_minor,
                reference: row.reference,
                cause_id: row.cause_id,
                created_at: row.created_at,
            };
            Ok((row.sequence, entry))
        })
        .collect()
}

fn state_name(hold: &CreditHold) -> &'static str {
    match hold.hold.state() {
        HoldState::Held => "held",
        HoldState::Committed { .. } => "captured",
        // Hard holds do not expire; `values::Hold` lets none be made that did.
        HoldState::Released { .. } | HoldState::Expired { .. } => "released",
    }
}

fn reason_name(reason: EntryReason) -> &'static str {
    match reason {
        EntryReason::Capture => "capture",
        EntryReason::Payment => "payment",
        EntryReason::Return => "return",
    }
}

fn parse_reason(text: &str) -> Option<EntryReason> {
    [EntryReason::Capture, EntryReason::Payment, EntryReason::Return]
        .into_iter()
        .find(|reason| reason_name(*reason) == text)
}
