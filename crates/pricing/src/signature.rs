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
        if bytes.len() < MIN_KEY_BYTES { Err(KeyRingError::ShortKey) } else { Ok(Self(bytes)) }
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length").chain_update(message)
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
        Signature { key_id: self.active.clone(), bytes: mac.finalize().into_bytes().into() }
    }

    /// Checks in constant time. A signature of another length does not fit, a shortened one included.
    pub fn verify(&self, key_id: &str, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let key = self.keys.get(key_id).ok_or(SignatureError::UnknownKey)?;
        key.mac(message).verify_slice(signature).map_err(|_| SignatureError::Mismatch)
    }
}

/// Whether a quote's time is over: from `expires_at` on.
pub fn is_expired(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now >= expires_at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::try_new([byte; 32]).unwrap()
    }

    fn ring(active: &str, ids: &[(&str, u8)]) -> KeyRing {
        KeyRing::try_new(active, ids.iter().map(|(id, byte)| ((*id).to_owned(), key(*byte)))).unwrap()
    }

    #[test]
    fn it_is_hmac_sha256() {
        // Made with an independent implementation (Python's hmac).
        let signature = ring("a", &[("a", 1)]).sign(b"what is quoted is charged");
        assert_eq!(hex::encode(signature.bytes), "d77503b097b8b6193622ae78441267b9ab09b0cf04117f14abbb333aa3feb3eb");
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_else() {
        let ring = ring("a", &[("a", 1), ("b", 2)]);
        let signature = ring.sign(b"quote");
        assert_eq!(signature.key_id, "a");
        assert_eq!(ring.verify("a", b"quote", &signature.bytes), Ok(()));
        assert_eq!(ring.verify("a", b"quota", &signature.bytes), Err(SignatureError::Mismatch));
        assert_eq!(ring.verify("b", b"quote", &signature.bytes), Err(SignatureError::Mismatch));
        assert_eq!(ring.verify("c", b"quote", &signature.bytes), Err(SignatureError::UnknownKey));
        for bit in 0..256 {
            let mut forged = signature.bytes;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ring.verify("a", b"quote", &forged), Err(SignatureError::Mismatch));
        }
        for length in 0..32 {
            let shortened = &signature.bytes[..length];
            assert_eq!(ring.verify("a", b"quote", shortened), Err(SignatureError::Mismatch));
        }
    }

    #[test]
    fn after_rotation_old_quotes_still_verify_until_their_key_is_dropped() {
        let signature = ring("old", &[("old", 1)]).sign(b"quote");
        let rotated = ring("new", &[("old", 1), ("new", 2)]);
        assert_eq!(rotated.sign(b"quote").key_id, "new");
        assert_eq!(rotated.verify("old", b"quote", &signature.bytes), Ok(()));
        let dropped = ring("new", &[("new", 2)]);
        assert_eq!(dropped.verify("old", b"quote", &signature.bytes), Err(SignatureError::UnknownKey));
    }

    #[test]
    fn a_ring_needs_its_active_key_and_keys_of_full_length() {
        assert_eq!(SigningKey::try_new([1; 31]).unwrap_err(), KeyRingError::ShortKey);
        let missing = KeyRingError::NoActiveKey { key_id: "b".to_owned() };
        assert_eq!(KeyRing::try_new("b", [("a".to_owned(), key(1))]).unwrap_err(), missing);
        assert_eq!(KeyRing::try_new("", [(String::new(), key(1))]).unwrap_err(), KeyRingError::EmptyKeyId);
    }

    #[test]
    fn keys_are_not_printed() {
        assert!(!format!("{:?}", ring("a", &[("a", 77)])).contains("77"));
    }

    #[test]
    fn a_quote_is_over_from_its_expiry_on() {
        let expires_at = DateTime::from_timestamp(1_000, 0).unwrap();
        assert!(!is_expired(expires_at, DateTime::from_timestamp_micros(999_999_999).unwrap()));
        assert!(is_expired(expires_at, expires_at));
    }
}
