use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_values::{Money, PartnerId, ReturnId};
use sqlx::PgConnection;

use super::Error;
use crate::{domain::Account, store::credit};

/// What a partner gets back for a return: the refund for the goods less the fees. May be negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartnerReturn {
    pub(crate) return_id: ReturnId,
    pub(crate) partner_id: PartnerId,
    pub(crate) refund: Money,
}

/// Lowers what partners have used by what their returns give back, each return once, in the consumer's transaction.
///
/// The inbox knows events, and forgets them after its retention; the entries know returns for good.
pub(crate) async fn book_returns(
    conn: &mut PgConnection,
    returns: Vec<PartnerReturn>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let partner_ids: BTreeSet<PartnerId> = returns.iter().map(|given| given.partner_id.clone()).collect();
    let mut accounts: HashMap<PartnerId, Account> = credit::lock_accounts(conn, &partner_ids).await?;
    let return_ids: Vec<_> = returns.iter().map(|given| given.return_id.as_uuid()).collect();
    let mut booked = credit::list_booked_returns(conn, &return_ids).await?;

    let mut entries = Vec::with_capacity(returns.len());
    let mut changed = BTreeSet::new();
    for PartnerReturn { return_id, partner_id, refund } in returns {
        let account =
            accounts.get_mut(&partner_id).ok_or_else(|| Error::PartnerNotFound { partner_id: partner_id.clone() })?;
        if !booked.insert(return_id.into()) || refund.is_zero() {
            continue;
        }
        entries.push(account.give_back(return_id.into(), refund, now)?);
        changed.insert(partner_id);
    }

    let changed: Vec<&Account> = changed.iter().map(|id| &accounts[id]).collect();
    credit::update_accounts(conn, &changed, now).await?;
    credit::insert_entries(conn, &entries).await?;
    Ok(())
}
