//! Who calls, and what they may do.
//!
//! | key | reads | checked against | scopes |
//! |---|---|---|---|
//! | API key | `osk_<key id>_<secret>` | `access.api_keys`: HMAC-SHA256 of id and secret under the pepper | those of its row |
//! | service key | `oss_<service>_<secret>` | nothing stored: the secret is the pepper's HMAC of the name | `*` |
//!
//! Sent as `authorization: Bearer <key>`. A fast keyed hash is enough because secrets are 256 random bits, never
//! chosen by people; and it is checked on every request, so it has to cost less than a microsecond.
//!
//! Rows are cached, also the absence of one, for at most [`MAX_CACHE_TTL`]: so long does a revoked key live on, and so
//! long do known callers go on when the database is away. Expiry is compared with the clock at each use.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use moka::future::Cache;
use oneshelf_values::{ChannelId, Clock, PartnerId, TextError};
use rand::{TryRngCore as _, rngs::OsRng};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use sqlx::{PgPool, migrate::Migrator};
use tonic::{Code, Status};

use crate::{config::AccessConfig, status};

/// The schema `access` and its one table.
pub static MIGRATOR: Migrator = sqlx::migrate!("migrations/access");

/// The longest that a cached key is believed.
pub const MAX_CACHE_TTL: Duration = Duration::from_secs(30);

/// Known keys and known absences together; the least used go first.
const CACHE_CAPACITY: u64 = 50_000;

const KEY_PREFIX: &str = "osk_";
const SERVICE_PREFIX: &str = "oss_";
const KEY_ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// The caller of a request. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller(Arc<Identity>);

#[derive(PartialEq, Eq)]
struct Identity {
    key_id: String,
    kind: CallerKind,
    scopes: Vec<Scope>,
    channel: Option<ChannelId>,
    partner: Option<PartnerId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// An API key: a shop platform, a till, a dealer portal, an operator.
    Key,
    /// Another service of this installation.
    Service,
}

impl Caller {
    /// The caller behind an API key. A channel or partner binds it to that one.
    pub fn key(
        key_id: impl Into<String>,
        scopes: Vec<Scope>,
        channel: Option<ChannelId>,
        partner: Option<PartnerId>,
    ) -> Self {
        Self(Arc::new(Identity { key_id: key_id.into(), kind: CallerKind::Key, scopes, channel, partner }))
    }

    /// One of our own services (also: its jobs and consumers), which may do everything.
    pub fn service(name: impl Into<String>) -> Self {
        Self(Arc::new(Identity {
            key_id: name.into(),
            kind: CallerKind::Service,
            scopes: vec![Scope::All],
            channel: None,
            partner: None,
        }))
    }

    /// The public half of the key, or the service's name: fit for logs and audit rows.
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    pub fn kind(&self) -> CallerKind {
        self.0.kind
    }

    pub fn scopes(&self) -> &[Scope] {
        &self.0.scopes
    }

    /// The channel this caller is bound to.
    pub fn channel(&self) -> Option<&ChannelId> {
        self.0.channel.as_ref()
    }

    /// The partner this caller is bound to.
    pub fn partner(&self) -> Option<&PartnerId> {
        self.0.partner.as_ref()
    }

    /// `permission` is `<service>:<Verb>`.
    pub fn allows(&self, permission: &str) -> bool {
        self.0.scopes.iter().any(|scope| scope.covers(permission))
    }

    pub fn require(&self, permission: &'static str) -> Result<(), Denied> {
        if self.allows(permission) { Ok(()) } else { Err(Denied { permission }) }
    }

    /// Whether this caller may touch things of this channel.
    pub fn covers_channel(&self, channel: &ChannelId) -> bool {
        self.0.channel.as_ref().is_none_or(|own| own == channel)
    }

    /// Whether this caller may touch things of this partner.
    pub fn covers_partner(&self, partner: &PartnerId) -> bool {
        self.0.partner.as_ref().is_none_or(|own| own == partner)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.0.key_id)
    }
}

/// The caller's key lacks a permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key lacks the scope {permission}")]
pub struct Denied {
    pub permission: &'static str,
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        scope_missing(denied.permission)
    }
}

pub(crate) fn scope_missing(permission: &str) -> Status {
    status::error_info(
        Code::PermissionDenied,
        format!("the key lacks the scope {permission}"),
        status::DOMAIN,
        "SCOPE_MISSING",
        [("scope", permission)],
    )
}

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `*`
    All,
    /// `inventory:*`; holds the part up to the colon inclusive.
    Service(Box<str>),
    /// `inventory:HoldStock`
    Verb(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope: use *, <service>:* or <service>:<Verb>")]
pub struct ScopeError(String);

impl Scope {
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
        match text.split_once(':') {
            None if text == "*" => Ok(Self::All),
            Some((service, "*")) if word(service) => Ok(Self::Service(format!("{service}:").into())),
            Some((service, verb)) if word(service) && word(verb) => Ok(Self::Verb(text.into())),
            _ => Err(ScopeError(text.to_owned())),
        }
    }

    fn covers(&self, permission: &str) -> bool {
        match self {
            Self::All => true,
            Self::Service(prefix) => permission.starts_with(&**prefix),
            Self::Verb(own) => **own == *permission,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Service(prefix) => write!(f, "{prefix}*"),
            Self::Verb(verb) => f.write_str(verb),
        }
    }
}

/// The installation's secret under which keys are hashed and from which the services' own keys come.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pepper must have at least {} characters", Pepper::MIN_CHARS)]
pub struct WeakPepper;

impl Pepper {
    pub const MIN_CHARS: usize = 16;

    pub fn try_new(secret: &SecretString) -> Result<Self, WeakPepper> {
        let secret = secret.expose_secret();
        if secret.len() < Self::MIN_CHARS {
            return Err(WeakPepper);
        }
        // HMAC takes a key of any length.
        Hmac::new_from_slice(secret.as_bytes()).map(Self).map_err(|_| WeakPepper)
    }

    // The label keeps the two kinds apart: no API key can be made to hash to a service's secret.
    fn of_key(&self, key_id: &str, secret: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update("key:").chain_update(key_id).chain_update(":").chain_update(secret)
    }

    fn of_service(&self, name: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update("service:").chain_update(name)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper([REDACTED])")
    }
}

/// The key with which the service `name` calls the others.
pub fn service_key(pepper: &Pepper, name: &str) -> SecretString {
    let secret = hex::encode(pepper.of_service(name).finalize().into_bytes());
    SecretString::from(format!("{SERVICE_PREFIX}{name}_{secret}"))
}

/// What an operator decides about a new key.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub title: String,
    pub scopes: Vec<Scope>,
    pub channel: Option<ChannelId>,
    pub partner: Option<PartnerId>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a key. The answer is the only copy of its secret.
pub async fn create_key(
    pool: &PgPool,
    pepper: &Pepper,
    clock: &Clock,
    key: &NewKey,
) -> Result<SecretString, sqlx::Error> {
    let key_id = random_hex::<KEY_ID_BYTES>()?;
    let secret = random_hex::<SECRET_BYTES>()?;
    let secret_hash = pepper.of_key(&key_id, &secret).finalize().into_bytes();
    let scopes: Vec<String> = key.scopes.iter().map(Scope::to_string).collect();
    sqlx::query!(
        r#"
            INSERT INTO access.api_keys
                ( key_id
                , secret_hash
                , title
                , scopes
                , channel_id
                , partner_id
                , created_at
                , expires_at
                )
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        key_id,
        &secret_hash[..],
        key.title,
        &scopes,
        key.channel.as_ref().map(ChannelId::as_str),
        key.partner.as_ref().map(PartnerId::as_str),
        clock.now(),
        key.expires_at,
    )
    .execute(pool)
    .await?;
    Ok(SecretString::from(format!("{KEY_PREFIX}{key_id}_{secret}")))
}

/// Ends a key; it works for at most the cache time more. `false`: there is no such working key.
pub async fn revoke_key(pool: &PgPool, clock: &Clock, key_id: &str) -> Result<bool, sqlx::Error> {
    let revoked = sqlx::query!(
        r#"
            UPDATE access.api_keys
            SET revoked_at = $2
            WHERE key_id = $1
              AND revoked_at IS NULL
        "#,
        key_id,
        clock.now(),
    )
    .execute(pool)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

fn random_hex<const N: usize>() -> Result<String, sqlx::Error> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
    Ok(hex::encode(bytes))
}

/// Turns the `authorization` header into a [`Caller`]. Cheap to clone; one per process.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    pool: PgPool,
    pepper: Pepper,
    clock: Clock,
    keys: Cache<String, Option<Arc<Key>>>,
    limiter: DefaultKeyedRateLimiter<String>,
}

struct Key {
    secret_hash: Vec<u8>,
    expires_at: Option<DateTime<Utc>>,
    caller: Caller,
    /// `last_used_at` was written since this row was read.
    noted: AtomicBool,
}

/// Why a caller was turned away before the handler.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    #[error("an API key is required: authorization: Bearer osk_…")]
    Missing,
    /// One answer for unknown, wrong, revoked and expired, so that nothing can be learned by trying.
    #[error("the API key is not valid")]
    Invalid,
    #[error("too many requests with this key")]
    TooMany { retry_after: Duration },
    #[error("keys cannot be looked up")]
    Lookup(#[source] Arc<LookupError>),
}

#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("access.api_keys cannot be read")]
    Database(#[from] sqlx::Error),
    #[error("access.api_keys holds an unfit scope")]
    Scope(#[from] ScopeError),
    #[error("access.api_keys holds an unfit channel or partner")]
    Binding(#[from] TextError),
}

impl From<AuthError> for Status {
    fn from(error: AuthError) -> Self {
        let refused = |reason| {
            let nothing: [(&str, &str); 0] = [];
            status::error_info(Code::Unauthenticated, error.to_string(), status::DOMAIN, reason, nothing)
        };
        match &error {
            AuthError::Missing => refused("MISSING_CREDENTIALS"),
            AuthError::Invalid => refused("INVALID_CREDENTIALS"),
            AuthError::TooMany { retry_after } => {
                status::exhausted("RATE_LIMITED", "requests per key", error.to_string(), *retry_after)
            }
            AuthError::Lookup(cause) => match **cause {
                LookupError::Database(_) => status::unavailable(&error),
                LookupError::Scope(_) | LookupError::Binding(_) => status::internal(&error),
            },
        }
    }
}

impl Authenticator {
    pub fn new(cfg: &AccessConfig, pepper: Pepper, pool: PgPool, clock: Clock) -> Self {
        let ttl = Duration::from_secs(cfg.cache_ttl_s).min(MAX_CACHE_TTL);
        let rate = NonZeroU32::new(cfg.rate_limit_per_s).unwrap_or(NonZeroU32::MIN);
        Self(Arc::new(Inner {
            pool,
            pepper,
            clock,
            keys: Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(ttl).build(),
            limiter: RateLimiter::keyed(Quota::per_second(rate)),
        }))
    }

    pub async fn authenticate(&self, header: Option<&HeaderValue>) -> Result<Caller, AuthError> {
        let header = header.ok_or(AuthError::Missing)?;
        let token = header.to_str().ok().and_then(bearer).ok_or(AuthError::Invalid)?;
        if let Some((name, secret)) = split(token, SERVICE_PREFIX) {
            return self.service(name, secret);
        }
        let (key_id, secret) = split(token, KEY_PREFIX).ok_or(AuthError::Invalid)?;
        let key = self.key(key_id).await?.ok_or(AuthError::Invalid)?;
        let inner = &*self.0;
        // Constant time, as is the one for services.
        inner.pepper.of_key(key_id, secret).verify_slice(&key.secret_hash).map_err(|_| AuthError::Invalid)?;
        if key.expires_at.is_some_and(|at| at <= inner.clock.now()) {
            return Err(AuthError::Invalid);
        }
        inner
            .limiter
            .check_key(&key.caller.0.key_id)
            .map_err(|early| AuthError::TooMany { retry_after: early.wait_time_from(DefaultClock::default().now()) })?;
        if !key.noted.swap(true, Ordering::Relaxed) {
            self.note_use(key_id);
        }
        Ok(key.caller.clone())
    }

    fn service(&self, name: &str, secret: &str) -> Result<Caller, AuthError> {
        let mut claimed = [0; SECRET_BYTES];
        hex::decode_to_slice(secret, &mut claimed).map_err(|_| AuthError::Invalid)?;
        self.0.pepper.of_service(name).verify_slice(&claimed).map_err(|_| AuthError::Invalid)?;
        Ok(Caller::service(name))
    }

    async fn key(&self, key_id: &str) -> Result<Option<Arc<Key>>, AuthError> {
        if let Some(known) = self.0.keys.get(key_id).await {
            return Ok(known);
        }
        // Concurrent first requests of one key wait for one lookup; a failed one is not kept.
        self.0.keys.try_get_with(key_id.to_owned(), find_key(&self.0.pool, key_id)).await.map_err(AuthError::Lookup)
    }

    /// Best effort and off the request's path: nothing is decided by this column.
    fn note_use(&self, key_id: &str) {
        let (inner, key_id) = (Arc::clone(&self.0), key_id.to_owned());
        tokio::spawn(async move {
            let noted = sqlx::query!(
                r#"
                    UPDATE access.api_keys
                    SET last_used_at = $2
                    WHERE key_id = $1
                      AND (last_used_at IS NULL OR last_used_at < $2::TIMESTAMPTZ - INTERVAL '1 minute')
                "#,
                key_id,
                inner.clock.now(),
            )
            .execute(&inner.pool)
            .await;
            if let Err(error) = noted {
                tracing::debug!(%error, key_id, "the use of a key was not noted");
            }
        });
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

async fn find_key(pool: &PgPool, key_id: &str) -> Result<Option<Arc<Key>>, LookupError> {
    let row = sqlx::query!(
        r#"
            SELECT
                  secret_hash
                , scopes
                , channel_id
                , partner_id
                , expires_at
            FROM access.api_keys
            WHERE key_id = $1
              AND revoked_at IS NULL
        "#,
        key_id,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let scopes = row.scopes.iter().map(|text| Scope::parse(text)).collect::<Result<_, _>>()?;
    let channel = row.channel_id.as_deref().map(str::parse).transpose()?;
    let partner = row.partner_id.as_deref().map(str::parse).transpose()?;
    Ok(Some(Arc::new(Key {
        secret_hash: row.secret_hash,
        expires_at: row.expires_at,
        caller: Caller::key(key_id, scopes, channel, partner),
        noted: AtomicBool::new(false),
    })))
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn split<'a>(token: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    token.strip_prefix(prefix)?.split_once('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[&str]) -> Caller {
        let scopes = scopes.iter().map(|text| Scope::parse(text).unwrap()).collect();
        Caller::key("k", scopes, None, None)
    }

    #[test]
    fn a_scope_covers_everything_a_service_or_one_verb() {
        assert!(caller(&["*"]).allows("inventory:HoldStock"));
        assert!(caller(&["inventory:*"]).allows("inventory:HoldStock"));
        assert!(caller(&["catalog:*", "inventory:HoldStock"]).allows("inventory:HoldStock"));
        assert!(!caller(&["inventory:HoldStock"]).allows("inventory:HoldStockToo"));
        assert!(!caller(&["inv:*"]).allows("inventory:HoldStock"));
        assert!(!caller(&[]).allows("inventory:HoldStock"));
    }

    #[test]
    fn what_is_not_a_scope_is_refused() {
        for text in ["", "inventory", ":", "inventory:", ":HoldStock", "*:*", "*:HoldStock", "a:b:c", "a b:c"] {
            assert_eq!(Scope::parse(text), Err(ScopeError(text.to_owned())));
        }
        for text in ["*", "inventory:*", "inventory:HoldStock"] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_lacking_scope_is_named() {
        let status = Status::from(caller(&[]).require("orders:Backdate").unwrap_err());
        assert_eq!(status.code(), Code::PermissionDenied);
        let info = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["scope"].as_str()), ("SCOPE_MISSING", "orders:Backdate"));
    }

    #[test]
    fn an_unbound_caller_covers_all_channels_and_partners() {
        let caller = caller(&["*"]);
        assert!(caller.covers_channel(&"WEB".parse().unwrap()) && caller.covers_partner(&"D1".parse().unwrap()));
    }

    #[test]
    fn a_short_pepper_is_refused() {
        assert!(Pepper::try_new(&SecretString::from("short")).is_err());
    }
}
