//! Why units move: the built-in reasons and the operator's.

use oneshelf_kit::{
    idempotency::{self, Claim, Key},
    pg,
};

use super::{Error, Inventory};
use crate::{
    domain::{
        Refusal,
        reason::{BUILT_IN, Reason, built_in},
    },
    store,
};

/// A reason as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownReason {
    pub code: String,
    pub title: String,
    pub built_in: bool,
    pub assignable: bool,
}

impl Inventory {
    /// Adds a reason of the operator's own; the same request again answers with what it made.
    pub async fn create_reason_code(&self, key: Key, code: String, title: String) -> Result<KnownReason, Error> {
        if built_in(&code).is_some() {
            return Err(Refusal::ReasonCodeExists { code }.into());
        }
        let (schema, now) = (self.schema, self.clock.now());
        pg::in_tx(&self.pool, move |conn| {
            let (key, code, title) = (key.clone(), code.clone(), title.clone());
            Box::pin(async move {
                match idempotency::claim(conn, schema, &key, now).await? {
                    Claim::Reused => return Err(Refusal::RequestIdReused.into()),
                    Claim::New => {
                        if !store::reasons::insert_reason_code(conn, &code, &title, now).await? {
                            return Err(Refusal::ReasonCodeExists { code }.into());
                        }
                        idempotency::store(conn, schema, &key, code.as_bytes()).await?;
                    }
                    // A code never changes, so what is asked for is what was made.
                    Claim::Answered(_) => {}
                }
                Ok(KnownReason { code, title, built_in: false, assignable: true })
            })
        })
        .await
    }

    /// Reads a page of all reasons, by code, after `after`.
    pub async fn list_reason_codes(&self, after: &str, limit: i64) -> Result<Vec<KnownReason>, Error> {
        let own = store::reasons::list_reason_codes(&self.pool, after, limit).await?;
        let own = own.into_iter().map(|(code, title)| KnownReason { code, title, built_in: false, assignable: true });
        let ours = BUILT_IN.iter().filter(|known| known.code > after).map(|known| KnownReason {
            code: known.code.to_owned(),
            title: known.title.to_owned(),
            built_in: true,
            assignable: known.assignable,
        });
        let mut reasons: Vec<KnownReason> = ours.chain(own).collect();
        reasons.sort_by(|a, b| a.code.cmp(&b.code));
        reasons.truncate(limit as usize);
        Ok(reasons)
    }

    /// The reason, if callers may name it. Codes are never deleted, so what is known now stays known.
    pub(super) async fn assignable_reason(&self, code: Reason) -> Result<Reason, Error> {
        match built_in(&code) {
            Some(known) if known.assignable => Ok(known.code.into()),
            None if store::reasons::reason_code_exists(&self.pool, &code).await? => Ok(code),
            _ => Err(Refusal::ReasonCodeNotFound { code: code.into_owned() }.into()),
        }
    }
}
