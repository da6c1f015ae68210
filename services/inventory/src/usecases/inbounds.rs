//! Orders to suppliers and notices of deliveries: every command on one is a member of a group, because it changes what
//! may be promised, or the shelf.

use chrono::{DateTime, NaiveDate, Utc};
use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{InboundId, LocationId, Sku, new_id};
use uuid::Uuid;

use super::{Error, Inventory, execute::Job};
pub use crate::store::inbounds::{InboundDue, InboundFilter};
use crate::{
    domain::{
        Refusal,
        document::{DocumentKind, HoldIds},
        group::{Answer, Command, InboundAct, InboundCommand},
        inbound::Inbound,
    },
    store,
};

/// A command on an order or notice, as the caller says it.
#[derive(Debug, Clone)]
pub struct InboundChange {
    pub key: Key,
    pub inbound_id: InboundId,
    pub expected_version: Option<i64>,
    pub act: InboundAct,
    /// `None`: now. Anything else needs the permission to backdate.
    pub effective_at: Option<DateTime<Utc>>,
}

impl Inventory {
    /// Answers the order or notice as the command left it.
    pub async fn change_inbound(&self, caller: &Caller, change: InboundChange) -> Result<Inbound, Error> {
        let command = Command::Inbound(Box::new(InboundCommand {
            inbound_id: change.inbound_id,
            expected_version: change.expected_version,
            movement_id: change.key.request_id,
            hold_ids: HoldIds::new(new_id(&self.clock)),
            effective_at: self.effective_at(caller, change.effective_at)?,
            act: change.act,
        }));
        match self.execute(Job::keyed(change.key, command)).await? {
            Answer::Inbound(inbound) => Ok(*inbound),
            _ => Err(Error::Unexpected("something else answered to an inbound's command")),
        }
    }

    pub async fn get_inbound(&self, inbound_id: InboundId) -> Result<Inbound, Error> {
        let mut conn = self.pool.acquire().await?;
        store::inbounds::find_inbound(&mut conn, inbound_id)
            .await?
            .ok_or_else(|| Refusal::DocumentNotFound { kind: DocumentKind::Inbound, id: inbound_id.into() }.into())
    }

    pub async fn list_inbounds(
        &self,
        filter: &InboundFilter,
        before: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Inbound>, Error> {
        Ok(store::inbounds::list_inbounds(&self.pool, filter, before, limit).await?)
    }

    pub async fn list_inbound_due(
        &self,
        location: Option<&LocationId>,
        sku: Option<&Sku>,
        until: Option<NaiveDate>,
        after: Option<(&str, &str, NaiveDate)>,
        limit: i64,
    ) -> Result<Vec<InboundDue>, Error> {
        Ok(store::inbounds::list_inbound_due(&self.pool, location, sku, until, after, limit).await?)
    }
}
