//! Global location numbers: 13 digits with the GS1 check digit, for places and for parties.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;

use crate::{gtin::check_digit, id::text_value};

const DIGITS: usize = 13;

/// A GS1 location number. Always 13 digits, so its text is its canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gln(SmolStr);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlnError {
    #[error("must have digits only")]
    NotDigits,
    #[error("must have 13 digits, not {found}")]
    Length { found: usize },
    #[error("has the check digit {found}, expected {expected}")]
    CheckDigit { found: u8, expected: u8 },
}

impl FromStr for Gln {
    type Err = GlnError;

    fn from_str(text: &str) -> Result<Self, GlnError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(GlnError::NotDigits);
        }
        if text.len() != DIGITS {
            return Err(GlnError::Length { found: text.len() });
        }
        let (body, check) = text.split_at(DIGITS - 1);
        let (found, expected) = (check.as_bytes()[0] - b'0', check_digit(body));
        if found != expected {
            return Err(GlnError::CheckDigit { found, expected });
        }
        Ok(Self(SmolStr::new(text)))
    }
}

text_value!(Gln, GlnError);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0614141000012")]
    #[case(" 5412345000013 ")]
    #[case("9501101530003")]
    fn valid_numbers_are_kept_as_written(#[case] text: &str) {
        assert_eq!(text.parse::<Gln>().unwrap().as_str(), text.trim());
    }

    #[rstest]
    #[case("", GlnError::NotDigits)]
    #[case("061414100001X", GlnError::NotDigits)]
    #[case("614141000012", GlnError::Length { found: 12 })]
    #[case("00614141000012", GlnError::Length { found: 14 })]
    #[case("0614141000013", GlnError::CheckDigit { found: 3, expected: 2 })]
    fn wrong_numbers_are_refused(#[case] text: &str, #[case] error: GlnError) {
        assert_eq!(text.parse::<Gln>(), Err(error));
    }

    proptest! {
        #[test]
        fn exactly_one_check_digit_fits(body in "[0-9]{12}") {
            let fitting = (0..10).filter(|check| format!("{body}{check}").parse::<Gln>().is_ok()).count();
            prop_assert_eq!(fitting, 1);
        }
    }
}
