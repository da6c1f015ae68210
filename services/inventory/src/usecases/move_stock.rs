//! Books goods in, out and back beyond holds: receipts, returns, a till's sales, corrections.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{LocationId, new_id};

use super::{Error, Inventory, execute::Job};
use crate::domain::{
    document::HoldIds,
    group::{Answer, Command, MoveKind, MoveLine, MoveStock},
    stock_level::{Level, LevelKey},
};

/// What is moved, as the caller says it.
#[derive(Debug, Clone)]
pub struct Moved {
    pub kind: MoveKind,
    pub location: LocationId,
    pub lines: Vec<MoveLine>,
    pub reference: String,
    /// `None`: now. Anything else needs the permission to backdate.
    pub effective_at: Option<DateTime<Utc>>,
}

impl Inventory {
    /// Books all lines or none; answers the resulting levels, one per distinct SKU, and when they
    /// became so.
    pub async fn move_stock(
        &self,
        caller: &Caller,
        key: Key,
        moved: Moved,
    ) -> Result<(Vec<(LevelKey, Level)>, DateTime<Utc>), Error> {
        let effective_at = self.effective_at(caller, moved.effective_at)?;
        let command = Command::Move(MoveStock {
            movement_id: key.request_id,
            hold_ids: HoldIds::new(new_id(&self.clock)),
            kind: moved.kind,
            location: moved.location,
            lines: moved.lines,
            reference: moved.reference,
            effective_at,
        });
        match self.execute(Job::keyed(key, command)).await? {
            Answer::Levels(levels, at) => Ok((levels, at)),
            _ => Err(Error::Unexpected("no levels answered to a movement")),
        }
    }
}
