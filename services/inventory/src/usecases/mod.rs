//! One file per verb. Stock changes go through [`execute`], in groups, but for [`bulk`] ones and those that are rare;
//! reads go their own short way.

pub mod bulk;
pub mod change_location;
pub mod consignments;
pub mod costs;
pub mod count_plan;
pub mod counts;
pub mod create_location;
pub mod execute;
pub mod expire_holds;
pub mod explain_availability;
pub mod export_movements;
pub mod figures;
pub mod find_pickup;
pub mod get_availability;
pub mod hold_stock;
pub mod inbounds;
pub mod keep_ledger;
pub mod known_kits;
mod known_levels;
pub mod list;
pub mod move_hold;
pub mod move_stock;
pub mod plan_fulfilment;
pub mod post_movement;
pub mod promises;
pub mod reason_codes;
pub mod reconcile;
pub mod reorder;
pub mod resolve_hold;
pub mod set_policies;
pub mod short_way;
mod source;
pub mod sourcing_rules;
pub mod take_channels;
pub mod thresholds;
pub mod transfers;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_kit::{
    auth::{Caller, Denied},
    batch::{self, Batcher},
    pg,
    schema::Schema,
};
use oneshelf_values::{ChannelId, Clock, PartnerId};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::{domain::Refusal, store};

/// The use cases of the service, over its pool and its executor.
#[derive(Clone)]
pub struct Inventory {
    pub(crate) pool: PgPool,
    pub(crate) schema: Schema,
    pub(crate) clock: Clock,
    pub(crate) batcher: Batcher<execute::Job, execute::Outcome, Error>,
    pub(crate) availability: get_availability::Availabilities,
    /// Bulk changes that may run at a time.
    pub(crate) bulk_places: Arc<Semaphore>,
    /// How long units may stay held softly.
    pub(crate) longest_soft_hold: TimeDelta,
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("refused")]
    Refused(#[from] Refusal),
    #[error("not allowed")]
    Denied(#[from] Denied),
    #[error("must not be more than {} days in the future", MAX_AHEAD.num_days())]
    EffectiveTimeAhead,
    #[error("the caller is bound to another channel than {0}")]
    OutOfScope(ChannelId),
    #[error("the caller is bound to another partner than {0}")]
    OutOfPartnerScope(PartnerId),
    #[error("the executor is full")]
    Overloaded,
    #[error("a twin of this request is at work")]
    Conflict,
    /// A group named kits whose components it had not locked: it runs again with them.
    #[error("kits are other than they were known")]
    MoreKits(known_kits::Parts),
    /// A group of holds is not plain, or not what rows alone say it is.
    #[error("not granted by the short way")]
    LongWay,
    #[error("the database is away")]
    Unavailable(#[source] sqlx::Error),
    #[error("the database answered something unexpected")]
    Internal(#[source] sqlx::Error),
    #[error("the process is stopping")]
    Stopping,
    #[error("{0}")]
    Unexpected(&'static str),
}

/// How far ahead an effective time may lie. Orders takes a till's clock that is a day ahead for an instant, and its own
/// clock need not agree with ours; what comes from further away is a mistake, and would be missing from every question
/// about the past until then.
const MAX_AHEAD: TimeDelta = TimeDelta::days(2);

impl Inventory {
    /// When a change took effect: now, unless the caller may say otherwise.
    fn effective_at(&self, caller: &Caller, asked: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, Error> {
        let now = self.clock.now();
        let Some(at) = asked else { return Ok(now) };
        caller.require("inventory:Backdate")?;
        if at > now + MAX_AHEAD { Err(Error::EffectiveTimeAhead) } else { Ok(at) }
    }
}

/// A key bound to a channel may act for that channel only.
fn check_channel(caller: &Caller, channel: Option<&ChannelId>) -> Result<(), Error> {
    match (caller.channel(), channel) {
        (Some(bound), Some(channel)) if bound != channel => Err(Error::OutOfScope(channel.clone())),
        (Some(bound), None) => Err(Error::OutOfScope(bound.clone())),
        _ => Ok(()),
    }
}

/// A key bound to a partner acts for that partner, named or not.
fn partner_for(caller: &Caller, partner: Option<PartnerId>) -> Result<Option<PartnerId>, Error> {
    match (caller.partner(), partner) {
        (Some(bound), Some(partner)) if *bound != partner => Err(Error::OutOfPartnerScope(partner)),
        (Some(bound), None) => Ok(Some(bound.clone())),
        (_, partner) => Ok(partner),
    }
}

/// The answer of a group's member.
fn answer_of<A>(submitted: Result<A, batch::Submit<Error>>) -> Result<A, Error> {
    submitted.map_err(|refused| match refused {
        batch::Submit::Overloaded => Error::Overloaded,
        batch::Submit::Stopping => Error::Stopping,
        batch::Submit::Unavailable => Error::Unavailable(sqlx::Error::PoolTimedOut),
        batch::Submit::Failed(error) => error,
        batch::Submit::Broken => Error::Unexpected("the executor gave no answer"),
    })
}

impl Error {
    /// Why holds could not be inserted: perhaps another process made one of them since we looked.
    fn of_new_holds(error: sqlx::Error) -> Self {
        if store::grants::is_taken(&error) { Self::Conflict } else { error.into() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match pg::kind(&error) {
            pg::DbErrorKind::Retryable | pg::DbErrorKind::Unavailable => Self::Unavailable(error),
            pg::DbErrorKind::Constraint(_) | pg::DbErrorKind::Other => Self::Internal(error),
        }
    }
}
