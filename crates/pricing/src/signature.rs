//! The proof that a quote is ours: HMAC-SHA256 over the encoded quote, byte for byte. Whoever charges it verifies it with
//! the same key ring and needs no call to the catalog.
//!
//! Rotation: add the new key everywhere, make it the active one, and drop the old one when the last quote it signed has
//! expired.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The shortest key, in bytes: the output size of SHA-256, as RFC 2104 advises.
pub const MIN_KEY_BYTES: usize = 32;

/// A secret key. Never printed.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    pub fn try_new(bytes: impl Into<Vec<u8>>) -> Result<Self, KeyRingError> {
        let bytes = bytes.into();
        if bytes.len() < MIN_KEY_BYTES {
            Err(KeyRingError::ShortKey)
        } else {
            Ok(Self(bytes))
        }
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes keys of any length")
            .chain_update(message)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The keys that signatures are accepted from, one of which signs.
#[derive(Debug, Clone)]
pub struct KeyRing {
    active: String,
    keys: HashMap<String, SigningKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    #[error("a signing key must have at least {MIN_KEY_BYTES} bytes")]
    ShortKey,
    #[error("the active key {key_id} is not among the keys")]
    NoActiveKey { key_id: String },
    #[error("a key id must not be empty")]
    EmptyKeyId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub key_id: String,
    pub bytes: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the key is not known")]
    UnknownKey,
    #[error("the signature does not fit")]
    Mismatch,
}

impl KeyRing {
    pub fn try_new(
        active: impl Into<String>,
        keys: impl IntoIterator<Item = (String, SigningKey)>,
    ) -> Result<Self, KeyRingError> {
        let active = active.into();
        let keys: HashMap<_, _> = keys.into_iter().collect();
        if keys.contains_key("") {
            return Err(KeyRingError::EmptyKeyId);
        }
        if !keys.contains_key(&active) {
            return Err(KeyRingError::NoActiveKey { key_id: active });
        }
        Ok(Self { active, keys })
    }

    /// Signs with the active key.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mac = self.keys[&self.active].mac(message);
        Signature {
            key_id: self.active.clone(),
            bytes: mac.finalize().into_bytes().into(),
        }
    }

    /// Checks in constant time. A signature of another length does not fit, a shortened one included.
    pub fn verify(
        &self,
        key_id: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let key = self.keys.get(key_id).ok_or(SignatureError::UnknownKey)?;
        key.mac(message)
            .verify_slice(signature)
            .map_err(|_| SignatureError::Mismatch)
    }
}

/// Whether a quote's time is over: from `expires_at` on.
pub fn is_expired(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now >= expires_at
}
