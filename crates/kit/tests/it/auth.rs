//! API keys against the real table.

use std::time::Duration;

use http::HeaderValue;
use oneshelf_kit::{
    auth::{self, AuthError, Authenticator, Caller, CallerKind, NewKey, Pepper, Scope},
    config::AccessConfig,
};
use oneshelf_testkit::{Database, clock, wait_for};
use oneshelf_values::Clock;
use secrecy::{ExposeSecret, SecretString};
use tonic::{Code, Status};

const PEPPER: &str = "a pepper that is long enough";

struct Keys {
    database: Database,
    pepper: Pepper,
    clock: Clock,
}

impl Keys {
    async fn open() -> Self {
        let pepper = Pepper::try_new(&SecretString::from(PEPPER)).unwrap();
        Self { database: Database::new(&[]).await, pepper, clock: clock() }
    }

    fn authenticator(&self, adjust: impl FnOnce(&mut AccessConfig)) -> Authenticator {
        let mut cfg = AccessConfig::new(self.database.config(), PEPPER);
        adjust(&mut cfg);
        Authenticator::new(&cfg, self.pepper.clone(), self.database.pool().clone(), self.clock.clone())
    }

    async fn create(&self, adjust: impl FnOnce(&mut NewKey)) -> SecretString {
        let mut key = NewKey {
            title: "web shop".to_owned(),
            scopes: vec![Scope::parse("inventory:HoldStock").unwrap()],
            channel: None,
            partner: None,
            expires_at: None,
        };
        adjust(&mut key);
        auth::create_key(self.database.pool(), &self.pepper, &self.clock, &key).await.unwrap()
    }
}

async fn try_text(auth: &Authenticator, key: &str) -> Result<Caller, AuthError> {
    let header = HeaderValue::from_str(&format!("Bearer {key}")).unwrap();
    auth.authenticate(Some(&header)).await
}

async fn try_key(auth: &Authenticator, key: &SecretString) -> Result<Caller, AuthError> {
    try_text(auth, key.expose_secret()).await
}

fn key_id(key: &SecretString) -> &str {
    key.expose_secret().split('_').nth(1).unwrap()
}

#[tokio::test]
async fn a_key_is_its_caller_with_scopes_and_bindings() {
    let keys = Keys::open().await;
    let key = keys
        .create(|key| {
            key.channel = Some("WEB".parse().unwrap());
            key.partner = Some("D1".parse().unwrap());
        })
        .await;
    let caller = try_key(&keys.authenticator(|_| {}), &key).await.unwrap();
    assert_eq!((caller.kind(), caller.key_id()), (CallerKind::Key, key_id(&key)));
    assert!(caller.allows("inventory:HoldStock") && !caller.allows("inventory:AdjustStock"));
    assert!(caller.covers_channel(&"WEB".parse().unwrap()) && !caller.covers_channel(&"TILL".parse().unwrap()));
    assert!(caller.covers_partner(&"D1".parse().unwrap()) && !caller.covers_partner(&"D2".parse().unwrap()));
}

#[tokio::test]
async fn wrong_unknown_and_malformed_keys_are_all_refused_alike() {
    let keys = Keys::open().await;
    let auth = keys.authenticator(|_| {});
    let key = keys.create(|_| {}).await;
    let real = key.expose_secret();
    let wrong = format!("{}{}", &real[..real.len() - 1], if real.ends_with('0') { '1' } else { '0' });
    let service = auth::service_key(&keys.pepper, "orders");
    let renamed = service.expose_secret().replace("orders", "catalog");
    for text in [&wrong, "osk_0000000000000000_00", "osk_", "osk", "oss_orders_00", &renamed, "", "é"] {
        let refused = try_text(&auth, text).await.unwrap_err();
        assert!(matches!(refused, AuthError::Invalid), "{text}: {refused}");
    }
    assert!(matches!(auth.authenticate(None).await, Err(AuthError::Missing)));
    let basic = HeaderValue::from_str(&format!("Basic {real}")).unwrap();
    assert!(matches!(auth.authenticate(Some(&basic)).await, Err(AuthError::Invalid)));
}

#[tokio::test]
async fn a_service_key_needs_no_database_and_may_do_everything() {
    let keys = Keys::open().await;
    keys.database.pool().close().await;
    let caller = try_key(&keys.authenticator(|_| {}), &auth::service_key(&keys.pepper, "orders")).await.unwrap();
    assert_eq!((caller.kind(), caller.key_id()), (CallerKind::Service, "orders"));
    assert!(caller.allows("inventory:HoldStock"));
}

#[tokio::test]
async fn a_key_ends_at_its_expiry_also_when_cached() {
    let keys = Keys::open().await;
    let auth = keys.authenticator(|_| {});
    let expires_at = keys.clock.now() + Duration::from_secs(60);
    let key = keys.create(|key| key.expires_at = Some(expires_at)).await;
    keys.clock.advance(Duration::from_secs(59));
    try_key(&auth, &key).await.unwrap();
    keys.clock.advance(Duration::from_secs(1));
    assert!(matches!(try_key(&auth, &key).await, Err(AuthError::Invalid)));
}

#[tokio::test]
async fn a_revoked_key_ends_with_its_cached_row() {
    let keys = Keys::open().await;
    let auth = keys.authenticator(|cfg| cfg.cache_ttl_s = 1);
    let key = keys.create(|_| {}).await;
    try_key(&auth, &key).await.unwrap();
    assert!(auth::revoke_key(keys.database.pool(), &keys.clock, key_id(&key)).await.unwrap());
    assert!(!auth::revoke_key(keys.database.pool(), &keys.clock, key_id(&key)).await.unwrap());
    wait_for("the refusal", Duration::from_secs(10), async || try_key(&auth, &key).await.is_err().then_some(())).await;
}

#[tokio::test]
async fn without_the_database_known_keys_go_on_and_others_are_unavailable() {
    let keys = Keys::open().await;
    let auth = keys.authenticator(|_| {});
    let (known, other) = (keys.create(|_| {}).await, keys.create(|_| {}).await);
    try_key(&auth, &known).await.unwrap();
    keys.database.pool().close().await;
    try_key(&auth, &known).await.unwrap();
    let status = Status::from(try_key(&auth, &other).await.unwrap_err());
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn more_requests_than_the_limit_are_told_when_to_come_back() {
    let keys = Keys::open().await;
    let auth = keys.authenticator(|cfg| cfg.rate_limit_per_s = 1);
    let (key, other) = (keys.create(|_| {}).await, keys.create(|_| {}).await);
    try_key(&auth, &key).await.unwrap();
    let Err(AuthError::TooMany { retry_after }) = try_key(&auth, &key).await else {
        panic!("the second request within a second is refused");
    };
    assert!(!retry_after.is_zero() && retry_after <= Duration::from_secs(1));
    try_key(&auth, &other).await.expect("each key has its own limit");
}

#[tokio::test]
async fn the_use_of_a_key_is_noted() {
    let keys = Keys::open().await;
    let key = keys.create(|_| {}).await;
    try_key(&keys.authenticator(|_| {}), &key).await.unwrap();
    let noted = "SELECT COUNT(*) FROM access.api_keys WHERE last_used_at IS NOT NULL";
    wait_for("the note", Duration::from_secs(10), async || {
        let count: i64 = sqlx::query_scalar(noted).fetch_one(keys.database.pool()).await.unwrap();
        (count == 1).then_some(())
    })
    .await;
}
