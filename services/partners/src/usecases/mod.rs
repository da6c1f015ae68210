//! One file per verb. Records change one transaction each ([`change_partner`]); credit changes in groups
//! ([`credit_group`]).

mod book_returns;
mod capture_credit;
mod change_partner;
mod create_partner;
mod credit_group;
mod error;
mod get_credit_account;
mod get_partner;
mod hold_credit;
mod list_credit_entries;
mod list_partners;
mod record_payment;
mod reinstate_partner;
mod release_credit;
mod set_credit_limit;
mod suspend_partner;

use std::hash::{DefaultHasher, Hash, Hasher};

use oneshelf_kit::{
    auth::Caller,
    batch::{Batcher, Options},
    lifecycle::Lifecycle,
    schema::Schema,
};
use oneshelf_values::{Clock, PartnerId};
use sqlx::PgPool;

pub(crate) use book_returns::{PartnerReturn, book_returns};
use credit_group::{Answer, Command};
pub use error::Error;

/// The use cases of this service. Cheap to clone.
#[derive(Clone)]
pub struct Partners {
    pool: PgPool,
    schema: Schema,
    clock: Clock,
    credit: Batcher<Command, Result<Answer, Error>, sqlx::Error>,
}

impl Partners {
    /// Starts the credit writers under the lifecycle.
    pub fn new(pool: PgPool, schema: Schema, clock: Clock, lifecycle: &Lifecycle, options: Options) -> Self {
        let executor = credit_group::Executor { pool: pool.clone(), schema, clock: clock.clone() };
        let credit = Batcher::spawn(lifecycle, "partners.credit", options, route, move |group| executor.run(group));
        Self { pool, schema, clock, credit }
    }
}

/// Commands that name their partner meet at one writer. Those that name a hold go by it: whose it is, is not known yet.
fn route(command: &Command) -> u64 {
    let mut hasher = DefaultHasher::new();
    match command {
        Command::Hold { partner_id, .. } | Command::Pay { partner_id, .. } => partner_id.hash(&mut hasher),
        Command::Capture { hold_id, .. } | Command::Release { hold_id, .. } => hold_id.hash(&mut hasher),
    }
    hasher.finish()
}

/// A write that names a partner outside the caller's binding is refused.
fn require_partner(caller: &Caller, partner_id: &PartnerId) -> Result<(), Error> {
    if caller.covers_partner(partner_id) { Ok(()) } else { Err(Error::OutOfScope { partner_id: partner_id.clone() }) }
}

/// A read of a partner outside the caller's binding finds nothing, so that ids cannot be probed.
fn require_visible(caller: &Caller, partner_id: &PartnerId) -> Result<(), Error> {
    if caller.covers_partner(partner_id) {
        Ok(())
    } else {
        Err(Error::PartnerNotFound { partner_id: partner_id.clone() })
    }
}
