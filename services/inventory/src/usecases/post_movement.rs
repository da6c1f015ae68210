//! Books units between accounts that the caller names, under an id that the caller made and that counts once for good.
//!
//! Beside the groups, and correct there for the reasons that `bulk` gives.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, idempotency::Key, pg};
use oneshelf_values::LocationId;

use super::{Error, Inventory, execute};
use crate::{
    domain::{
        Refusal,
        group::{
            Answer, Shelf,
            posting::{PostLine, PostMovement},
        },
        stock_level::{Level, LevelKey},
    },
    store::{self, movements::MovementClaim},
};

/// What is booked, as the caller says it.
#[derive(Debug, Clone)]
pub struct Posting {
    pub location: LocationId,
    pub lines: Vec<PostLine>,
    pub reason_code: String,
    pub reference: String,
    /// `None`: now. Anything else needs the permission to backdate.
    pub effective_at: Option<DateTime<Utc>>,
}

impl Inventory {
    /// Books all lines or none; answers the resulting levels, one per distinct SKU, and when they became so.
    pub async fn post_movement(
        &self,
        caller: &Caller,
        key: Key,
        posting: Posting,
    ) -> Result<(Vec<(LevelKey, Level)>, DateTime<Utc>), Error> {
        let command = PostMovement {
            movement_id: key.request_id,
            location: posting.location,
            effective_at: self.effective_at(caller, posting.effective_at)?,
            reason: self.assignable_reason(Cow::Owned(posting.reason_code)).await?,
            lines: posting.lines,
            reference: posting.reference,
        };
        let keys: BTreeSet<LevelKey> = command.lines.iter().map(|line| line.key.clone()).collect();
        let work = Arc::new((key, command, keys.into_iter().collect::<Vec<_>>()));
        let (schema, clock) = (self.schema, self.clock.clone());
        let answer = pg::in_tx(&self.pool, move |conn| {
            let (work, clock) = (work.clone(), clock.clone());
            Box::pin(async move {
                let (key, command, keys) = &*work;
                let now = clock.now();
                match store::movements::claim_movement(conn, key.request_id, &key.fingerprint, now).await? {
                    MovementClaim::Reused => return Err(Refusal::RequestIdReused.into()),
                    MovementClaim::Answered(answer) => {
                        return Ok(store::answers::decode(&answer, &HashMap::new())?);
                    }
                    MovementClaim::New => {}
                }
                store::stock_levels::insert_empty_levels(conn, keys, now).await?;
                let levels = store::stock_levels::lock_stock_levels(conn, keys).await?;
                // What a partner owns is known by agreement before there is anything of it.
                let consigns = command.lines.iter().any(PostLine::consigns);
                let set = if consigns { keys.iter().cloned().collect() } else { BTreeSet::new() };
                let rulebook = execute::rules_of(conn, &levels, set, now).await?;
                let thresholds = execute::thresholds_of(conn, &levels, &rulebook, &[]).await?;
                let named = command.lots();
                let known_lots =
                    if named.is_empty() { HashMap::new() } else { store::lots::find_lots(conn, &named).await? };
                let mut shelf = Shelf::new(levels, HashMap::new())
                    .with_known_lots(known_lots)
                    .ruled_by(rulebook)
                    .watched_by(thresholds);
                let answer = Answer::Levels(shelf.post(command)?, now);
                execute::save(conn, schema, shelf, &clock, now).await?;
                let stored = store::answers::encode(&answer);
                store::movements::store_movement_answer(conn, key.request_id, &stored).await?;
                Ok::<_, Error>(answer)
            })
        })
        .await?;
        match answer {
            Answer::Levels(levels, at) => Ok((levels, at)),
            _ => Err(Error::Unexpected("something else answered to a movement")),
        }
    }
}
