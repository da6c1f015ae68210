use std::time::Duration;

use oneshelf_kit::{
    idempotency::{self, Claim, GroupClaim, Key},
    pg::{self, DbErrorKind},
};
use oneshelf_values::new_id;
use uuid::Uuid;

use crate::support::Shop;

const RPC: &str = "HoldStock";

/// `content` stands for a request message; a string is one.
fn key(request_id: Uuid, content: &str) -> Key {
    Key::of(RPC, request_id, &content.to_owned())
}

#[tokio::test]
async fn a_committed_request_gives_its_answer_and_other_content_is_refused() {
    let shop = Shop::open().await;
    let id = new_id(&shop.clock);
    let mut tx = shop.pool().begin().await.unwrap();
    assert_eq!(idempotency::claim(&mut tx, shop.schema, &key(id, "a"), shop.now()).await.unwrap(), Claim::New);
    idempotency::store(&mut tx, shop.schema, &key(id, "a"), b"answer").await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = shop.pool().begin().await.unwrap();
    let again = idempotency::claim(&mut tx, shop.schema, &key(id, "a"), shop.now()).await.unwrap();
    assert_eq!(again, Claim::Answered(b"answer".to_vec()));
    let other = idempotency::claim(&mut tx, shop.schema, &key(id, "b"), shop.now()).await.unwrap();
    assert_eq!(other, Claim::Reused);
    let other_rpc = Key { rpc: "ReleaseHold", ..key(id, "a") };
    assert_eq!(idempotency::claim(&mut tx, shop.schema, &other_rpc, shop.now()).await.unwrap(), Claim::New);
}

#[tokio::test]
async fn a_twin_waits_for_the_first_and_gets_its_answer() {
    let shop = Shop::open().await;
    let key = key(new_id(&shop.clock), "a");
    let mut first = shop.pool().begin().await.unwrap();
    idempotency::claim(&mut first, shop.schema, &key, shop.now()).await.unwrap();
    let twin = {
        let (pool, schema, key, now) = (shop.pool().clone(), shop.schema, key.clone(), shop.now());
        tokio::spawn(async move {
            let mut tx = pool.begin().await.unwrap();
            idempotency::claim(&mut tx, schema, &key, now).await.unwrap()
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!twin.is_finished(), "the twin does not wait");
    idempotency::store(&mut first, shop.schema, &key, b"answer").await.unwrap();
    first.commit().await.unwrap();
    assert_eq!(twin.await.unwrap(), Claim::Answered(b"answer".to_vec()));
}

#[tokio::test]
async fn a_refused_request_leaves_nothing_and_may_be_repeated() {
    let shop = Shop::open().await;
    let key = key(new_id(&shop.clock), "a");
    for _ in 0..2 {
        let mut tx = shop.pool().begin().await.unwrap();
        assert_eq!(idempotency::claim(&mut tx, shop.schema, &key, shop.now()).await.unwrap(), Claim::New);
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_group_tells_new_answered_reused_and_twins_apart() {
    let shop = Shop::open().await;
    let (known, fresh) = (new_id(&shop.clock), new_id(&shop.clock));
    let mut tx = shop.pool().begin().await.unwrap();
    idempotency::store_all(&mut tx, shop.schema, &[(&key(known, "a"), b"old".to_vec())], shop.now()).await.unwrap();
    tx.commit().await.unwrap();

    let keys = [key(fresh, "x"), key(known, "a"), key(known, "b"), key(fresh, "x"), key(fresh, "y")];
    let mut tx = shop.pool().begin().await.unwrap();
    let claims = idempotency::claim_all(&mut tx, shop.schema, &keys).await.unwrap();
    assert_eq!(
        claims,
        [
            GroupClaim::New,
            GroupClaim::Answered(b"old".to_vec()),
            GroupClaim::Reused,
            GroupClaim::Twin(0),
            GroupClaim::Reused,
        ]
    );
}

#[tokio::test]
async fn a_group_that_lost_a_race_against_a_twin_is_told_to_run_again() {
    let shop = Shop::open().await;
    let key = key(new_id(&shop.clock), "a");
    let mut slow = shop.pool().begin().await.unwrap();
    let claims = idempotency::claim_all(&mut slow, shop.schema, std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(claims, [GroupClaim::New]);
    let mut quick = shop.pool().begin().await.unwrap();
    idempotency::store_all(&mut quick, shop.schema, &[(&key, b"quick".to_vec())], shop.now()).await.unwrap();
    quick.commit().await.unwrap();
    let lost = idempotency::store_all(&mut slow, shop.schema, &[(&key, b"slow".to_vec())], shop.now()).await;
    assert_eq!(pg::kind(&lost.unwrap_err()), DbErrorKind::Retryable);
}
