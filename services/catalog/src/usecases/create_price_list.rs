//! Adds an empty price list.

use oneshelf_kit::{auth::Caller, idempotency, pg};

use super::{Catalog, Error, answered, scope::check_writes_list};
use crate::{
    domain::{Refusal, price_list::PriceList},
    store::{
        answers::{self, Created},
        heads::{Head, advance_head},
        price_lists,
    },
};

impl Catalog {
    /// Version and time of creation are set here, whatever `list` carries.
    pub async fn create_price_list(
        &self,
        caller: &Caller,
        key: idempotency::Key,
        list: PriceList,
    ) -> Result<PriceList, Error> {
        check_writes_list(caller, &list)?;
        let now = self.clock.now();
        let schema = self.schema;
        let list = PriceList { version: 0, created_at: now, ..list };
        let created_at = pg::in_tx(&self.pool, {
            let list = list.clone();
            move |conn| {
                let (key, list) = (key.clone(), list.clone());
                Box::pin(async move {
                    let claim = idempotency::claim(conn, schema, &key, now).await?;
                    if let Some(answer) = answered(claim)? {
                        return Ok(answers::decode::<Created>(&answer)?.created_at);
                    }
                    let head = advance_head(conn, Head::PriceLists).await?;
                    price_lists::insert_price_list(conn, &list, head).await?;
                    let answer = answers::encode(&Created { created_at: now })?;
                    idempotency::store(conn, schema, &key, &answer).await?;
                    Ok::<_, Error>(now)
                })
            }
        })
        .await
        .map_err(|error| taken(error, &list))?;
        self.catch_up().await;
        Ok(PriceList { created_at, ..list })
    }
}

fn taken(error: Error, list: &PriceList) -> Error {
    let Error::Internal(source) = &error else { return error };
    match (pg::constraint(source), &list.channel) {
        (Some(price_lists::PRIMARY_KEY), _) => {
            Refusal::PriceListExists { price_list_id: list.price_list_id.clone() }.into()
        }
        (Some(price_lists::CHANNEL_CURRENCY_KEY), Some(channel)) => {
            Refusal::ChannelListExists { channel: channel.clone(), currency: list.currency }.into()
        }
        _ => error,
    }
}
