use std::{collections::BTreeSet, sync::Arc};

use futures::FutureExt;
use oneshelf_kit::{
    auth::Caller,
    idempotency::{self, Claim, Key},
    pg,
};
use oneshelf_values::MemberId;

use super::{Error, Loyalty};
use crate::{
    domain::{Member, Refusal},
    store::{answers, members},
};

impl Loyalty {
    /// Enrols members, all or none, and answers them in the order asked. One that a sale named before it was enrolled
    /// is adopted with its points.
    #[tracing::instrument(name = "loyalty.batch_create_members", skip_all, fields(members = ids.len()))]
    pub async fn batch_create_members(
        &self,
        _caller: &Caller,
        key: Key,
        ids: Vec<MemberId>,
    ) -> Result<Vec<Member>, Error> {
        let (schema, clock) = (self.schema, self.clock.clone());
        let work = Arc::new((key, ids));
        pg::in_tx(&self.pool, move |conn| {
            let (work, now) = (Arc::clone(&work), clock.now());
            async move {
                let (key, ids) = &*work;
                match idempotency::claim(conn, schema, key, now).await? {
                    Claim::Answered(answer) => return Ok(answers::decode_members(&answer)?),
                    Claim::Reused => return Err(Error::RequestIdReused),
                    Claim::New => {}
                }
                let asked: BTreeSet<MemberId> = ids.iter().cloned().collect();
                let mut enrolled = members::enrol_members(conn, &asked, now).await?;
                let members = ids
                    .iter()
                    .map(|id| enrolled.remove(id).ok_or_else(|| Refusal::MemberExists { member_id: id.clone() }.into()))
                    .collect::<Result<Vec<Member>, Error>>()?;
                idempotency::store(conn, schema, key, &answers::encode_members(&members)).await?;
                Ok(members)
            }
            .boxed()
        })
        .await
    }
}
