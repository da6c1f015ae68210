//! Held units go to other locations.

use oneshelf_kit::{auth::Caller, idempotency::Key};
use oneshelf_values::{HoldId, LocationId, new_id};

use super::{Error, Inventory, execute::Job, hold_stock::hold_of};
use crate::domain::{
    group::{Command, MoveHold},
    hold::StockHold,
    stock_level::LevelKey,
};

impl Inventory {
    /// All moves or none.
    pub async fn move_hold(
        &self,
        caller: &Caller,
        key: Key,
        hold_id: HoldId,
        moves: Vec<(LevelKey, LocationId, i64)>,
    ) -> Result<StockHold, Error> {
        if caller.channel().is_some() {
            self.get_hold(caller, hold_id).await?;
        }
        let move_id = new_id(&self.clock);
        let command = MoveHold { move_id, hold_id, moves, by: caller.key_id().to_owned() };
        self.execute(Job::keyed(key, Command::MoveHold(Box::new(command)))).await.and_then(hold_of)
    }
}
