//! One file per verb. A mutation writes its process with its own rows, then [`drive_process`] takes the steps.

pub mod cancel_order;
pub mod drive_process;
pub mod get_order;
pub mod get_return;
pub mod list_orders;
pub mod place_order;
pub mod record_sales;
pub mod redrive;
pub mod return_items;
pub mod ship_order;
pub mod take_moved_holds;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use oneshelf_kit::{
    auth::{Caller, Denied},
    pg,
    schema::Schema,
};
use oneshelf_pricing::KeyRing;
use oneshelf_values::{ChannelId, Clock, PartnerId};
use sqlx::PgPool;
use tokio::sync::Notify;

use crate::{
    clients::{inventory::Inventory, partners::Partners},
    domain::{Refusal, RemoteRefusal},
};

/// The use cases of the service, over its pool and the services it asks.
#[derive(Clone)]
pub struct Orders {
    pub(crate) pool: PgPool,
    pub(crate) schema: Schema,
    pub(crate) clock: Clock,
    pub(crate) quotes: Arc<KeyRing>,
    pub(crate) inventory: Inventory,
    pub(crate) partners: Partners,
    pub(crate) pace: Pace,
    /// Wakes the timer of this process: there is something due.
    pub(crate) due: Arc<Notify>,
}

impl Orders {
    /// What a ticket's sale time is judged by.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// How processes are driven.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Whoever works on a process has this long per step before the timer takes over.
    pub lease: Duration,
    /// After so many failed tries of one step a process is parked.
    pub park_after: i32,
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Inventory or partners refused; told to the caller as it came.
    #[error("refused by another service: {} ({})", .0.reason, .0.message)]
    Remote(RemoteRefusal),
    #[error("{field}: {description}")]
    Field { field: String, description: &'static str },
    #[error("not allowed")]
    Denied(#[from] Denied),
    #[error("the key is bound to another channel or partner")]
    OutOfScope,
    #[error("the request id was used for other content")]
    RequestIdReused,
    #[error("the order is being worked on")]
    InProgress,
    #[error("another service gave no clear answer: {0}")]
    RemoteUnclear(String),
    #[error("the database is away")]
    Unavailable(#[source] sqlx::Error),
    #[error("the database answered something unexpected")]
    Internal(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match pg::kind(&error) {
            pg::DbErrorKind::Retryable | pg::DbErrorKind::Unavailable => Self::Unavailable(error),
            pg::DbErrorKind::Constraint(_) | pg::DbErrorKind::Other => Self::Internal(error),
        }
    }
}

/// A caller's clock may be this much ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// When something happened: now, or at a past instant by a caller who may say so.
fn effective_at(caller: &Caller, asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    let Some(at) = asked else { return Ok(now) };
    caller.require("orders:Backdate")?;
    if at > now + CLOCK_SKEW {
        return Err(Error::Field { field: "effective_time".to_owned(), description: "must not be in the future" });
    }
    Ok(at)
}

/// Whether something of this channel and partner is the caller's to see and change.
fn in_scope(caller: &Caller, channel: &ChannelId, partner: Option<&PartnerId>) -> bool {
    caller.covers_channel(channel) && caller.partner().is_none_or(|own| partner == Some(own))
}
