//! The article code that everything is sold, counted and priced by.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;
use unicode_normalization::UnicodeNormalization;

use crate::{id::text_value, text::TextError};

/// The longest SKU, in characters.
pub const MAX_SKU_CHARS: usize = 64;
/// Nothing longer is even looked at: 64 characters take at most 256 bytes, decomposed ones a few times that.
const MAX_INPUT_BYTES: usize = 1_024;

/// A stock keeping unit: trimmed, NFC, upper case, 1–64 characters. Single spaces inside are part of real codes
/// (`BANK CHARGES`); other white space, control characters and invisible format characters are refused, because two
/// codes that look the same must be the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(SmolStr);

text_value!(Sku, TextError);

impl FromStr for Sku {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(TextError::Empty);
        }
        if trimmed.len() > MAX_INPUT_BYTES {
            return Err(TextError::TooLong { max: MAX_SKU_CHARS });
        }
        let canonical = if trimmed.is_ascii() {
            if trimmed.bytes().any(|b| b.is_ascii_lowercase()) {
                SmolStr::from(trimmed.to_ascii_uppercase())
            } else {
                SmolStr::new(trimmed)
            }
        } else {
            // Upper-casing can take a composed letter apart (ΐ), so the result is composed again.
            let upper = trimmed.nfc().collect::<String>().to_uppercase();
            upper.nfc().collect()
        };
        check(&canonical)?;
        Ok(Self(canonical))
    }
}

fn check(code: &str) -> Result<(), TextError> {
    let mut previous = '\0';
    let mut count = 0;
    for c in code.chars() {
        if c == ' ' && previous == ' ' {
            return Err(TextError::RepeatedSpace);
        }
        if c.is_control() || (c.is_whitespace() && c != ' ') || is_invisible(c) {
            return Err(TextError::Character { found: c });
        }
        previous = c;
        count += 1;
    }
    if count > MAX_SKU_CHARS {
        return Err(TextError::TooLong { max: MAX_SKU_CHARS });
    }
    Ok(())
}

/// Format characters (general category Cf) that copy-and-paste brings along: soft hyphen, zero-width and directional
/// marks, byte order mark; and the replacement character of a broken decoding.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("85123A", "85123A")]
    #[case("15056bl", "15056BL")]
    #[case(" BANK CHARGES ", "BANK CHARGES")]
    #[case("gift_0001_20", "GIFT_0001_20")]
    #[case("DCGS0076", "DCGS0076")]
    #[case("m", "M")]
    #[case("a/b.c#1", "A/B.C#1")]
    #[case("cafe\u{301}", "CAFÉ")]
    #[case("straße", "STRASSE")]
    #[case("品番１", "品番１")]
    fn codes_are_trimmed_composed_and_upper_cased(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(text.parse::<Sku>().unwrap().as_str(), canonical);
    }

    #[rstest]
    #[case("", TextError::Empty)]
    #[case(" \t\n\u{a0} ", TextError::Empty)]
    #[case("A  B", TextError::RepeatedSpace)]
    #[case("A\tB", TextError::Character { found: '\t' })]
    #[case("A\u{a0}B", TextError::Character { found: '\u{a0}' })]
    #[case("A\0", TextError::Character { found: '\0' })]
    #[case("A\u{200b}B", TextError::Character { found: '\u{200b}' })]
    #[case("\u{feff}A", TextError::Character { found: '\u{feff}' })]
    fn unprintable_codes_are_refused(#[case] text: &str, #[case] error: TextError) {
        assert_eq!(text.parse::<Sku>(), Err(error));
    }

    #[test]
    fn a_sku_has_at_most_64_characters() {
        assert!("x".repeat(64).parse::<Sku>().is_ok());
        assert!("é".repeat(64).parse::<Sku>().is_ok());
        assert_eq!("x".repeat(65).parse::<Sku>(), Err(TextError::TooLong { max: 64 }));
        // 33 of them become 66 letters.
        assert_eq!("ß".repeat(33).parse::<Sku>(), Err(TextError::TooLong { max: 64 }));
        assert_eq!("x".repeat(10_000_000).parse::<Sku>(), Err(TextError::TooLong { max: 64 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn parsing_never_panics_and_is_idempotent(text in "\\PC{0,70}") {
            if let Ok(sku) = text.parse::<Sku>() {
                prop_assert_eq!(sku.as_str().parse::<Sku>().unwrap(), sku);
            }
        }

        #[test]
        fn case_surrounding_space_and_composition_do_not_make_another_sku(text in "[a-zA-Z0-9äéßñ_-]{1,30}") {
            let sku: Sku = text.parse().unwrap();
            prop_assert_eq!(text.to_lowercase().parse::<Sku>().unwrap(), sku.clone());
            prop_assert_eq!(format!("  {text}\n").parse::<Sku>().unwrap(), sku.clone());
            prop_assert_eq!(text.nfd().collect::<String>().parse::<Sku>().unwrap(), sku);
        }
    }

    #[test]
    fn every_single_character_parses_to_a_fixed_point() {
        for c in '\0'..=char::MAX {
            if let Ok(sku) = c.to_string().parse::<Sku>() {
                assert_eq!(sku.as_str().parse::<Sku>(), Ok(sku), "{c:?}");
            }
        }
    }
}
