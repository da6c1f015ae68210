//! ISO 4217 currencies. They come as data from channels and partners, so they are values and not types.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A currency that amounts can be counted in: one with minor units defined (precious metals and test codes have none).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(iso_currency::Currency);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 currency code in upper case")]
pub struct UnknownCurrency;

impl Currency {
    pub const GBP: Self = Self(iso_currency::Currency::GBP);
    pub const EUR: Self = Self(iso_currency::Currency::EUR);
    pub const USD: Self = Self(iso_currency::Currency::USD);

    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits the minor unit has: 2 for GBP, 0 for JPY, 3 for KWD; 4 at most.
    pub fn exponent(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some_and(|digits| digits <= 4))
            .map(Self)
            .ok_or(UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Currency {
    #[cfg(feature = "sqlx")]
    fn as_str(self) -> &'static str {
        self.code()
    }
}

#[cfg(feature = "sqlx")]
crate::column::text_column!(Currency);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("GBP", 2)]
    #[case("JPY", 0)]
    #[case("KWD", 3)]
    #[case("CLF", 4)]
    fn a_currency_knows_its_minor_unit(#[case] code: &str, #[case] exponent: u32) {
        let currency: Currency = code.parse().unwrap();
        assert_eq!(currency.code(), code);
        assert_eq!(currency.exponent(), exponent);
    }

    #[rstest]
    #[case("")]
    #[case("gbp")]
    #[case("GB")]
    #[case("GBPX")]
    #[case("ZZZ")]
    #[case("XAU")]
    #[case("XXX")]
    fn what_is_no_currency_to_count_in_is_refused(#[case] code: &str) {
        assert_eq!(code.parse::<Currency>(), Err(UnknownCurrency));
    }
}
