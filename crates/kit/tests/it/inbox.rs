use std::collections::HashSet;

use oneshelf_kit::{inbox, outbox::EventIds};
use oneshelf_values::new_id;
use uuid::Uuid;

use crate::support::Shop;

async fn admit(shop: &Shop, consumer: &str, ids: &[Uuid]) -> HashSet<Uuid> {
    let mut tx = shop.pool().begin().await.unwrap();
    let admitted = inbox::admit(&mut tx, shop.schema, consumer, ids.iter().copied(), shop.now()).await.unwrap();
    tx.commit().await.unwrap();
    admitted
}

fn set(ids: &[Uuid]) -> HashSet<Uuid> {
    ids.iter().copied().collect()
}

#[tokio::test]
async fn events_of_one_pack_are_admitted_once_each_however_they_are_put_together() {
    let shop = Shop::open().await;
    let mut given = EventIds::new(&shop.clock);
    let ids: Vec<Uuid> = (0..300).map(|_| given.give()).collect();
    assert_eq!(admit(&shop, "a", &ids[10..20]).await, set(&ids[10..20]));
    assert_eq!(admit(&shop, "a", &ids[15..280]).await, set(&ids[20..280]));
    assert_eq!(admit(&shop, "a", &ids).await, [set(&ids[..10]), set(&ids[280..])].concat_sets());
    assert_eq!(admit(&shop, "a", &ids).await, HashSet::new());
    assert_eq!(shop.count("SELECT COUNT(*) FROM shop.inbox_packs").await, 2, "300 ids are two packs");
    assert_eq!(admit(&shop, "b", &ids[..1]).await, set(&ids[..1]), "each consumer for itself");
    assert_eq!(inbox::count_applied(shop.pool(), shop.schema, Some("a"), &ids).await.unwrap(), 300);
    assert_eq!(inbox::count_applied(shop.pool(), shop.schema, None, &ids[..2]).await.unwrap(), 3);
}

#[tokio::test]
async fn ids_of_any_origin_are_admitted_once() {
    let shop = Shop::open().await;
    let ids: Vec<Uuid> = (0..50).map(|_| new_id(&shop.clock)).chain([Uuid::nil(), Uuid::max()]).collect();
    assert_eq!(admit(&shop, "a", &ids).await, set(&ids));
    assert_eq!(admit(&shop, "a", &ids).await, HashSet::new());
}

#[tokio::test]
async fn what_was_rolled_back_is_admitted_again() {
    let shop = Shop::open().await;
    let id = new_id(&shop.clock);
    let mut tx = shop.pool().begin().await.unwrap();
    inbox::admit(&mut tx, shop.schema, "a", [id], shop.now()).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(admit(&shop, "a", &[id]).await, set(&[id]));
}

/// Two consumers with overlapping halves of the same packs, at the same time: each event goes to one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_that_race_for_the_same_events_share_them_out() {
    let shop = Shop::open().await;
    for _ in 0..20 {
        let mut given = EventIds::new(&shop.clock);
        let ids: Vec<Uuid> = (0..600).map(|_| given.give()).collect();
        let (left, right) = tokio::join!(admit(&shop, "a", &ids[..400]), admit(&shop, "a", &ids[200..]));
        assert!(left.is_disjoint(&right));
        assert_eq!([left, right].concat_sets(), set(&ids));
    }
}

trait ConcatSets {
    fn concat_sets(self) -> HashSet<Uuid>;
}

impl ConcatSets for [HashSet<Uuid>; 2] {
    fn concat_sets(self) -> HashSet<Uuid> {
        self.into_iter().flatten().collect()
    }
}
