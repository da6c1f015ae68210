//! Global trade item numbers: GTIN-8, -12 (UPC), -13 (EAN) and -14, with the GS1 modulo-10 check digit.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A trade item number. The same item written with 8, 12, 13 or 14 digits is the same number padded with zeros, so
/// equality, order and hash look at the 14-digit form only; `Display` gives the digits back as they were written.
#[derive(Debug, Clone, Copy)]
pub struct Gtin {
    number: u64,
    digits: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GtinError {
    #[error("must have digits only")]
    NotDigits,
    #[error("must have 8, 12, 13 or 14 digits, not {found}")]
    Length { found: usize },
    #[error("has the check digit {found}, expected {expected}")]
    CheckDigit { found: u8, expected: u8 },
}

impl Gtin {
    /// The 14-digit form, leading zeros included: what to store and to compare by.
    pub fn canonical(&self) -> String {
        format!("{:014}", self.number)
    }

    /// How many digits it was written with: 8, 12, 13 or 14.
    pub fn digits(&self) -> u8 {
        self.digits
    }
}

impl FromStr for Gtin {
    type Err = GtinError;

    fn from_str(text: &str) -> Result<Self, GtinError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(GtinError::NotDigits);
        }
        if !matches!(text.len(), 8 | 12 | 13 | 14) {
            return Err(GtinError::Length { found: text.len() });
        }
        let (body, check) = text.split_at(text.len() - 1);
        let expected = check_digit(body);
        let found = check.as_bytes()[0] - b'0';
        if found != expected {
            return Err(GtinError::CheckDigit { found, expected });
        }
        let number = text.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        Ok(Self { number, digits: text.len() as u8 })
    }
}

/// The GS1 check digit of what stands before it, for every kind of GS1 number: from the right the digits weigh 3, 1, 3,
/// …; the check digit brings the sum to a multiple of ten.
pub(crate) fn check_digit(body: &str) -> u8 {
    let sum: u32 = body
        .bytes()
        .rev()
        .zip([3, 1].into_iter().cycle())
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    ((10 - sum % 10) % 10) as u8
}

impl fmt::Display for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.number, width = usize::from(self.digits))
    }
}

impl PartialEq for Gtin {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Gtin {}

impl Hash for Gtin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl Ord for Gtin {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl PartialOrd for Gtin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Gtin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Gtin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("96385074", "00000096385074", 8)]
    #[case("036000291452", "00036000291452", 12)]
    #[case("4006381333931", "04006381333931", 13)]
    #[case("0012345678905", "00012345678905", 13)]
    #[case("10012345678902", "10012345678902", 14)]
    #[case(" 00012345678905 ", "00012345678905", 14)]
    #[case("00000000", "00000000000000", 8)]
    fn valid_numbers_keep_their_digits(#[case] text: &str, #[case] canonical: &str, #[case] digits: u8) {
        let gtin: Gtin = text.parse().unwrap();
        assert_eq!(gtin.to_string(), text.trim());
        assert_eq!(gtin.canonical(), canonical);
        assert_eq!(gtin.digits(), digits);
    }

    #[rstest]
    #[case("", GtinError::NotDigits)]
    #[case("40063813339A1", GtinError::NotDigits)]
    #[case("٤٠٠٦٣٨١٣٣٣٩٣١", GtinError::NotDigits)]
    #[case("-4006381333931", GtinError::NotDigits)]
    #[case("400638133393", GtinError::CheckDigit { found: 3, expected: 0 })]
    #[case("4006381333932", GtinError::CheckDigit { found: 2, expected: 1 })]
    #[case("123456789", GtinError::Length { found: 9 })]
    #[case("123456789012345", GtinError::Length { found: 15 })]
    fn wrong_numbers_are_refused(#[case] text: &str, #[case] error: GtinError) {
        assert_eq!(text.parse::<Gtin>(), Err(error));
    }

    #[test]
    fn the_same_item_in_12_and_13_digits_is_one_number() {
        let upc: Gtin = "012345678905".parse().unwrap();
        let ean: Gtin = "0012345678905".parse().unwrap();
        assert_eq!(upc, ean);
        assert_ne!(upc.to_string(), ean.to_string());
    }

    proptest! {
        #[test]
        fn exactly_one_check_digit_fits(body in "[0-9]{7}|[0-9]{11}|[0-9]{12}|[0-9]{13}") {
            let fitting = (0..10).filter(|check| format!("{body}{check}").parse::<Gtin>().is_ok()).count();
            prop_assert_eq!(fitting, 1);
        }

        #[test]
        fn padding_with_zeros_keeps_the_check_digit_right(body in "[0-9]{7}") {
            for check in 0..10 {
                let short = format!("{body}{check}").parse::<Gtin>();
                let long = format!("000000{body}{check}").parse::<Gtin>();
                prop_assert_eq!(short.is_ok(), long.is_ok());
            }
        }

        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = text.parse::<Gtin>();
        }
    }
}
