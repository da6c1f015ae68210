use std::time::Duration;

use oneshelf_kit::{
    idempotency::{self, Key},
    inbox,
    retention::{self, Retention},
};
use oneshelf_values::new_id;

use crate::support::{Shop, names};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn old_rows_go_and_young_or_unpublished_ones_stay() {
    let shop = Shop::open().await;
    for published in [true, false] {
        for thing in names("thing", 3) {
            shop.append(&[thing]).await;
        }
        let mut tx = shop.pool().begin().await.unwrap();
        inbox::admit(&mut tx, shop.schema, "shop.q", [new_id(&shop.clock)], shop.now()).await.unwrap();
        let key = Key::of("Rpc", new_id(&shop.clock), &());
        idempotency::store_all(&mut tx, shop.schema, &[(&key, Vec::new())], shop.now()).await.unwrap();
        tx.commit().await.unwrap();
        if published {
            sqlx::query("UPDATE shop.outbox_packs SET published_at = $1 WHERE position <> 1")
                .bind(shop.now())
                .execute(shop.pool())
                .await
                .unwrap();
            shop.clock.advance(2 * HOUR);
        }
    }
    let retention = Retention { outbox: HOUR, inbox: HOUR, idempotency: HOUR, every: HOUR };
    retention::prune(shop.pool(), shop.schema, &shop.clock, &retention, &shop.stop).await.unwrap();
    assert_eq!(shop.count("SELECT COUNT(*) FROM shop.outbox_packs").await, 4, "1 never published, 3 young");
    assert_eq!(shop.count("SELECT COUNT(*) FROM shop.inbox_packs").await, 1);
    assert_eq!(shop.count("SELECT COUNT(*) FROM shop.idempotency_keys").await, 1);
}
