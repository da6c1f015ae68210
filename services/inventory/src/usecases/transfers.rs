//! Transfers: every command on one is a member of a group, as any other stock change.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{LocationId, TransferId, new_id};
use uuid::Uuid;

use super::{Error, Inventory, execute::Job};
use crate::{
    domain::{
        Refusal,
        document::{DocumentKind, HoldIds},
        group::{Answer, Command, TransferAct, TransferCommand},
        transfer::{Transfer, TransferState},
    },
    store,
};

/// A command on a transfer, as the caller says it.
#[derive(Debug, Clone)]
pub struct TransferChange {
    pub key: Key,
    pub transfer_id: TransferId,
    pub expected_version: Option<i64>,
    pub act: TransferAct,
    /// `None`: now. Anything else needs the permission to backdate.
    pub effective_at: Option<DateTime<Utc>>,
}

impl Inventory {
    /// Answers the transfer as the command left it.
    pub async fn change_transfer(&self, caller: &Caller, change: TransferChange) -> Result<Transfer, Error> {
        let command = Command::Transfer(Box::new(TransferCommand {
            transfer_id: change.transfer_id,
            expected_version: change.expected_version,
            movement_id: change.key.request_id,
            hold_ids: HoldIds::new(new_id(&self.clock)),
            effective_at: self.effective_at(caller, change.effective_at)?,
            act: change.act,
        }));
        match self.execute(Job::keyed(change.key, command)).await? {
            Answer::Transfer(transfer) => Ok(*transfer),
            _ => Err(Error::Unexpected("something else answered to a transfer's command")),
        }
    }

    pub async fn get_transfer(&self, transfer_id: TransferId) -> Result<Transfer, Error> {
        let mut conn = self.pool.acquire().await?;
        store::transfers::find_transfer(&mut conn, transfer_id)
            .await?
            .ok_or_else(|| Refusal::DocumentNotFound { kind: DocumentKind::Transfer, id: transfer_id.into() }.into())
    }

    pub async fn list_transfers(
        &self,
        state: Option<TransferState>,
        location: Option<&LocationId>,
        before: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Transfer>, Error> {
        Ok(store::transfers::list_transfers(&self.pool, state, location, before, limit).await?)
    }
}
