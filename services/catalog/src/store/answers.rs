//! What a repeated request is answered with, as far as the request itself does not say it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Serialize, Deserialize)]
pub struct Created {
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "named as the columns are")]
pub struct Published {
    pub book_version: i64,
    pub activate_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
}

pub fn encode(answer: &impl Serialize) -> Result<Vec<u8>, sqlx::Error> {
    serde_json::to_vec(answer).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub fn decode<T: DeserializeOwned>(stored: &[u8]) -> Result<T, sqlx::Error> {
    serde_json::from_slice(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}
