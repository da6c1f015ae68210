//! Adds products with their variants, all or none.

use chrono::{DateTime, Utc};
use oneshelf_kit::{auth::Caller, idempotency, pg};
use sqlx::PgConnection;

use super::{Catalog, Error, answered};
use crate::{
    domain::{
        Refusal,
        product::{Product, check_distinct},
    },
    store::{
        answers::{self, Created},
        heads::{Head, advance_head},
        products::{self, Taken},
    },
};

impl Catalog {
    /// The time of creation is set here, whatever `products` carry.
    pub async fn batch_create_products(
        &self,
        _caller: &Caller,
        key: idempotency::Key,
        products: Vec<Product>,
    ) -> Result<Vec<Product>, Error> {
        check_distinct(&products)?;
        let now = self.clock.now();
        let schema = self.schema;
        let batch = std::sync::Arc::new(products);
        let created_at = pg::in_tx(&self.pool, {
            let batch = batch.clone();
            move |conn| {
                let (key, batch) = (key.clone(), batch.clone());
                Box::pin(async move {
                    let claim = idempotency::claim(conn, schema, &key, now).await?;
                    if let Some(answer) = answered(claim)? {
                        return Ok(answers::decode::<Created>(&answer)?.created_at);
                    }
                    create(conn, &batch, now).await?;
                    let answer = answers::encode(&Created { created_at: now })?;
                    idempotency::store(conn, schema, &key, &answer).await?;
                    Ok::<_, Error>(now)
                })
            }
        })
        .await?;
        self.catch_up().await;
        let products = std::sync::Arc::unwrap_or_clone(batch);
        Ok(products.into_iter().map(|product| Product { created_at, ..product }).collect())
    }
}

async fn create(conn: &mut PgConnection, batch: &[Product], now: DateTime<Utc>) -> Result<(), Error> {
    // The head first: creations wait for each other, so what is free now is free at the insert.
    let head = advance_head(conn, Head::Products).await?;
    if let Some(taken) = products::find_taken(conn, batch).await? {
        return Err(Error::Refused(match taken {
            Taken::Product(product_id) => Refusal::ProductExists { product_id },
            Taken::Sku(sku) => Refusal::SkuExists { sku },
            Taken::Gtin(gtin) => Refusal::GtinExists { gtin },
        }));
    }
    products::insert_products(conn, batch, head, now).await?;
    Ok(())
}
