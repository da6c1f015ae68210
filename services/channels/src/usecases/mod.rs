//! One file per verb. What changes listings locks, in one order, the registry, facts, channels ([`crate::store`]).

pub mod acknowledge;
pub mod activate_prices;
pub mod apply_prices;
pub mod apply_stock;
pub mod create_channel;
pub mod read;
pub mod subscribe;
pub mod update_channel;
pub mod wake;

use std::time::Duration;

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, pg, schema::Schema};
use oneshelf_values::{ChannelId, Clock};
use sqlx::{PgConnection, PgPool};

use crate::{
    domain::Refusal,
    store::{
        channels,
        facts::Touched,
        listings::{self, Advanced, Scope},
    },
};

/// The use cases of the service, over its pool.
#[derive(Clone)]
pub struct Channels {
    pub(crate) pool: PgPool,
    pub(crate) schema: Schema,
    pub(crate) clock: Clock,
    pub(crate) wake: wake::Wake,
    pub(crate) pace: Pace,
}

/// How often a subscription does something of its own accord.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks at the database without a wake-up.
    pub poll: Duration,
    /// Between two messages.
    pub heartbeat: Duration,
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("refused")]
    Refused(#[from] Refusal),
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

/// A key bound to another channel must not write here.
fn may_write(caller: &Caller, channel_id: &ChannelId) -> Result<(), Error> {
    if caller.covers_channel(channel_id) { Ok(()) } else { Err(Refusal::OutOfScope(channel_id.clone()).into()) }
}

/// A key bound to another channel does not learn that this one exists.
fn may_read(caller: &Caller, channel_id: &ChannelId) -> Result<(), Error> {
    if caller.covers_channel(channel_id) { Ok(()) } else { Err(Refusal::ChannelNotFound(channel_id.clone()).into()) }
}

/// Locks the touched channels and computes the touched listings anew.
async fn recompute(
    conn: &mut PgConnection,
    touched: &[Touched],
    now: DateTime<Utc>,
) -> Result<Vec<Advanced>, sqlx::Error> {
    if touched.is_empty() {
        return Ok(Vec::new());
    }
    lock(conn, touched).await?;
    listings::recompute_listings(conn, Scope::Touched(touched), now).await
}

/// Locks the channels of touched listings, in order.
async fn lock(conn: &mut PgConnection, touched: &[Touched]) -> Result<(), sqlx::Error> {
    let mut channel_ids: Vec<&str> = touched.iter().map(|touched| touched.channel_id.as_str()).collect();
    channel_ids.sort_unstable();
    channel_ids.dedup();
    channels::lock_channels(conn, &channel_ids).await
}
