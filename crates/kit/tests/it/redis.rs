use std::time::{Duration, Instant};

use oneshelf_kit::{
    config::RedisConfig,
    redis::{Cached, Fanout, Redis, VersionedCache, Wake},
};
use oneshelf_testkit::{redis_config, wait_for};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::support::SOON;

const MINUTE: Duration = Duration::from_secs(60);

fn cached(version: i64, value: &str) -> Cached {
    Cached { version, value: value.as_bytes().to_vec() }
}

/// The 50 ms budget is real: on a busy machine a healthy answer may miss it, so what must be there is waited for.
async fn get(cache: &VersionedCache, key: &str, expected: Option<Cached>) {
    wait_for("the cached value", SOON, async || (cache.get_many(&[key]).await == [expected.clone()]).then_some(()))
        .await;
}

async fn put(cache: &VersionedCache, key: &str, version: i64, value: &str) {
    wait_for("a store", SOON, async || {
        cache.put_many(&[(key, version, value.as_bytes())]).await;
        cache.get_many(&[key]).await[0].as_ref().is_some_and(|cached| cached.version >= version).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_newer_value_wins_whoever_comes_last() {
    let cache = VersionedCache::new(Redis::new(&redis_config()).unwrap(), "stock", MINUTE);
    get(&cache, "a", None).await;
    put(&cache, "a", 9, "nine").await;
    cache.put_many(&[("a", 8, b"eight".as_slice())]).await;
    get(&cache, "a", Some(cached(9, "nine"))).await;
    put(&cache, "a", 10, "ten").await;
    get(&cache, "a", Some(cached(10, "ten"))).await;
}

#[tokio::test]
async fn an_outdated_value_is_a_miss_and_cannot_be_put_back() {
    let cache = VersionedCache::new(Redis::new(&redis_config()).unwrap(), "stock", MINUTE);
    put(&cache, "a", 1, "one").await;
    wait_for("a miss", SOON, async || {
        cache.outdate_many(&[("a", 2)]).await;
        cache.get_many(&["a"]).await[0].is_none().then_some(())
    })
    .await;
    cache.put_many(&[("a", 1, b"one".as_slice())]).await;
    get(&cache, "a", None).await;
    put(&cache, "a", 2, "two").await;
    get(&cache, "a", Some(cached(2, "two"))).await;
}

#[tokio::test]
async fn garbage_is_a_miss_and_is_written_over() {
    let config = redis_config();
    let cache = VersionedCache::new(Redis::new(&config).unwrap(), "stock", MINUTE);
    let client = redis::Client::open(config.url.expose_secret()).unwrap();
    let mut plain = client.get_multiplexed_async_connection().await.unwrap();
    for (key, command) in [("text", "SET"), ("list", "LPUSH")] {
        let name = format!("{}:stock:{key}", config.namespace);
        let () =
            redis::cmd(command).arg(&name).arg("garbage, longer than a version").query_async(&mut plain).await.unwrap();
        get(&cache, key, None).await;
        put(&cache, key, 1, "one").await;
    }
}

#[tokio::test]
async fn a_redis_that_does_not_answer_costs_one_budget_and_then_nothing() {
    // Accepts connections and never says a word.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", mute.local_addr().unwrap());
    let redis = Redis::new(&RedisConfig { url: SecretString::from(url), namespace: String::new() }).unwrap();
    let cache = VersionedCache::new(redis, "stock", MINUTE);
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(cache.get_many(&["a", "b"]).await, [None, None]);
        cache.put_many(&[("a", 1, b"one".as_slice())]).await;
    }
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_wake_up_reaches_other_processes() {
    let config = redis_config();
    let (here, there) = (Redis::new(&config).unwrap(), Redis::new(&config).unwrap());
    let (here, there) = (Fanout::new(here, "prices"), Fanout::new(there, "prices"));
    let stop = CancellationToken::new();
    let mut wakes = there.subscribe();
    tokio::spawn(there.clone().run(stop.clone()));
    assert_eq!(wakes.next().await, Wake::All, "listening begins with a look at everything");
    wait_for("a wake-up", SOON, async || {
        here.publish("list-1").await;
        let heard = tokio::time::timeout(Duration::from_millis(200), wakes.next()).await;
        (heard == Ok(Wake::Topic("list-1".to_owned()))).then_some(())
    })
    .await;
    stop.cancel();
}
