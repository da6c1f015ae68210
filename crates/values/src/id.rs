//! Ids, one type per thing, so that an order cannot be passed where a hold is meant.
//!
//! Codes are given by operators and read by people: trimmed, upper-cased, 1–32 of `A-Z 0-9 - _`. Transaction ids are
//! UUIDs; we make version 7, and take any version but nil from clients, who may not have a v7 generator.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::{
    clock::{Clock, new_id},
    text::TextError,
};

/// The longest operator code, in characters.
pub const MAX_CODE_CHARS: usize = 32;

fn parse_code(text: &str) -> Result<SmolStr, TextError> {
    let code = text.trim();
    if code.is_empty() {
        return Err(TextError::Empty);
    }
    if let Some(found) = code.chars().find(|c| !matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_')) {
        return Err(TextError::Character { found });
    }
    if code.len() > MAX_CODE_CHARS {
        return Err(TextError::TooLong { max: MAX_CODE_CHARS });
    }
    Ok(if code.bytes().any(|b| b.is_ascii_lowercase()) { code.to_ascii_uppercase().into() } else { SmolStr::new(code) })
}

/// What a newtype over a canonical text needs: text out, parsed text in.
macro_rules! text_value {
    ($name:ident, $error:ty) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // Maps keyed by the value can be asked with plain text: equality, order and hash are those of the text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.into()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "sqlx")]
        $crate::column::text_column!($name);
    };
}
pub(crate) use text_value;

macro_rules! code_ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                parse_code(text).map(Self)
            }
        }

        text_value!($name, TextError);
    )+};
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new one from the injected clock.
            pub fn generate(clock: &Clock) -> Self {
                Self(new_id(clock))
            }

            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                let id = Uuid::try_parse(text.trim()).map_err(|_| TextError::NotUuid)?;
                if id.is_nil() { Err(TextError::NilUuid) } else { Ok(Self(id)) }
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "sqlx")]
        $crate::column::uuid_column!($name);
    )+};
}

/// Who fills a cart, as a shop knows them: a session or a customer's number. 1 to 64 visible ASCII characters, kept as
/// they are written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShopperId(SmolStr);

impl FromStr for ShopperId {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        const MAX: usize = 64;
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if let Some(found) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(TextError::Character { found });
        }
        if text.len() > MAX {
            return Err(TextError::TooLong { max: MAX });
        }
        Ok(Self(SmolStr::new(text)))
    }
}

text_value!(ShopperId, TextError);

code_ids! {
    /// A place that holds stock: a shop, a warehouse.
    LocationId;
    /// A way of selling: a web shop, a marketplace, the tills.
    ChannelId;
    /// A dealer, agent or franchisee.
    PartnerId;
    /// A member of the loyalty programme.
    MemberId;
    /// A named set of prices.
    PriceListId;
    /// A product, the family of its variants (SKUs).
    ProductId;
    /// A till.
    DeviceId;
    /// A region that an operator draws, such as a delivery zone.
    ZoneId;
}

uuid_ids! {
    OrderId;
    HoldId;
    ReturnId;
    QuoteId;
    /// The client's name for one attempt to change something; repeating it repeats the answer.
    RequestId;
    ShipmentId;
    /// Goods on their way between two locations.
    TransferId;
    /// A purchase order, or the notice of a delivery.
    InboundId;
    /// A count of what is there.
    CountId;
    /// Units promised for a day.
    PromiseId;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("WH-UK", "WH-UK")]
    #[case(" shop-1 ", "SHOP-1")]
    #[case("12345678901234567890123456789012", "12345678901234567890123456789012")]
    fn codes_are_trimmed_and_upper_cased(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(text.parse::<LocationId>().unwrap().as_str(), canonical);
    }

    #[rstest]
    #[case("", TextError::Empty)]
    #[case("  ", TextError::Empty)]
    #[case("a b", TextError::Character { found: ' ' })]
    #[case("Ä", TextError::Character { found: 'Ä' })]
    #[case("a\0", TextError::Character { found: '\0' })]
    #[case("123456789012345678901234567890123", TextError::TooLong { max: 32 })]
    fn malformed_codes_are_refused(#[case] text: &str, #[case] error: TextError) {
        assert_eq!(text.parse::<ChannelId>(), Err(error));
    }

    #[rstest]
    #[case("Session-7f/3", Ok("Session-7f/3"))]
    #[case("", Err(TextError::Empty))]
    #[case(" a", Err(TextError::Character { found: ' ' }))]
    fn shoppers_are_kept_as_written(#[case] text: &str, #[case] expected: Result<&str, TextError>) {
        assert_eq!(text.parse::<ShopperId>().as_ref().map(ShopperId::as_str), expected.as_ref().copied());
    }

    #[rstest]
    #[case("", TextError::NotUuid)]
    #[case("not-a-uuid", TextError::NotUuid)]
    #[case("00000000-0000-0000-0000-000000000000", TextError::NilUuid)]
    fn malformed_ids_are_refused(#[case] text: &str, #[case] error: TextError) {
        assert_eq!(text.parse::<OrderId>(), Err(error));
    }

    #[test]
    fn ids_travel_as_lower_case_text() {
        let id: HoldId = "0193A1B2-0000-7000-8000-0000000000AB".parse().unwrap();
        assert_eq!(id.to_string(), "0193a1b2-0000-7000-8000-0000000000ab");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"0193a1b2-0000-7000-8000-0000000000ab\"");
        assert_eq!(serde_json::from_str::<HoldId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }

    #[test]
    fn a_code_read_from_json_is_parsed_not_believed() {
        assert_eq!(serde_json::from_str::<MemberId>("\"m1\"").unwrap().as_str(), "M1");
        assert!(serde_json::from_str::<MemberId>("\"m 1\"").is_err());
    }

    proptest! {
        #[test]
        fn parsing_a_code_never_panics_and_is_idempotent(text in any::<String>()) {
            if let Ok(code) = text.parse::<ProductId>() {
                prop_assert_eq!(code.as_str().parse::<ProductId>().unwrap(), code);
            }
        }
    }
}
