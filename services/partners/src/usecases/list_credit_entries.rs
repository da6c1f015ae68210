use oneshelf_kit::auth::Caller;
use oneshelf_values::{Currency, PartnerId};

use super::{Error, Partners, require_visible};
use crate::{domain::Entry, store::credit};

/// One page of an account's history.
pub struct EntryPage {
    pub currency: Currency,
    /// Newest first, each with its sequence.
    pub entries: Vec<(i64, Entry)>,
    pub more: bool,
}

impl Partners {
    /// Entries with a sequence below `before`, newest first.
    #[tracing::instrument(name = "partners.list_credit_entries", skip_all, fields(%partner_id))]
    pub async fn list_credit_entries(
        &self,
        caller: &Caller,
        partner_id: PartnerId,
        before: Option<i64>,
        page_size: i64,
    ) -> Result<EntryPage, Error> {
        require_visible(caller, &partner_id)?;
        let account = credit::find_account(&self.pool, &partner_id)
            .await?
            .ok_or_else(|| Error::PartnerNotFound { partner_id: partner_id.clone() })?;
        let mut entries = credit::list_entries(&self.pool, &partner_id, before, page_size + 1).await?;
        let more = entries.len() as i64 > page_size;
        entries.truncate(page_size as usize);
        Ok(EntryPage { currency: account.currency, entries, more })
    }
}
