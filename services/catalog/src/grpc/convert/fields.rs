//! What fields of many requests have in common.

use std::{fmt::Display, str::FromStr};

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::r#type::v1 as common;
use oneshelf_values::{Currency, RequestId, UnitPrice, clock::truncate};
use prost_types::Timestamp;

/// The path of a field in an element of a list. Written out only if there is something to say about it: a basket has
/// thousands of them.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) &'static str, pub(super) usize, pub(super) &'static str);

impl From<At> for String {
    fn from(At(list, index, field): At) -> Self {
        if field.is_empty() { format!("{list}[{index}]") } else { format!("{list}[{index}].{field}") }
    }
}

/// The identity of a mutation: its `request_id`, and its content without that.
pub(super) fn request_key(
    violations: &mut Violations,
    rpc: &'static str,
    request_id: &str,
    content: &impl prost::Message,
) -> Option<Key> {
    let id: RequestId = violations.check("request_id", request_id.parse())?;
    Some(Key::of(rpc, id.as_uuid(), content))
}

/// An optional code: empty is none.
pub(super) fn optional<T>(violations: &mut Violations, field: &'static str, text: &str) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    if text.is_empty() { None } else { violations.check(field, text.parse()) }
}

/// Text for people, trimmed, of `min` to `max` characters, without control characters.
pub(super) fn text(
    violations: &mut Violations,
    field: impl Into<String>,
    text: &str,
    min: usize,
    max: usize,
) -> Option<String> {
    let text = text.trim();
    let fault = if text.chars().any(char::is_control) {
        "must not contain control characters".to_owned()
    } else if min > 0 && text.is_empty() {
        "must not be empty".to_owned()
    } else if text.chars().nth(max).is_some() {
        format!("must be at most {max} characters")
    } else {
        return Some(text.to_owned());
    };
    violations.add(field, fault);
    None
}

/// Zero means `default`.
pub(super) fn page_size(violations: &mut Violations, asked: i32, default: usize, max: usize) -> Option<usize> {
    match usize::try_from(asked) {
        Ok(0) => Some(default),
        Ok(size) if size <= max => Some(size),
        _ => {
            violations.add("page_size", format!("must be 1 to {max}, or 0 for {default}"));
            None
        }
    }
}

/// The years 1 to 9999, in seconds from 1970 on.
pub(super) const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// An instant of these years, cut to microseconds. Unset is none.
pub(super) fn instant(
    violations: &mut Violations,
    field: impl Into<String>,
    at: Option<Timestamp>,
) -> Option<DateTime<Utc>> {
    let at = at?;
    let parsed = u32::try_from(at.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000 && YEARS.contains(&at.seconds))
        .and_then(|nanos| DateTime::from_timestamp(at.seconds, nanos));
    if parsed.is_none() {
        violations.add(field, "must be an instant of the years 1 to 9999, with 0 to 999,999,999 nanoseconds");
    }
    parsed.map(truncate)
}

/// A price that must be there, in the currency that it names.
pub(super) fn unit_price(
    violations: &mut Violations,
    path: At,
    price: Option<&common::UnitPrice>,
) -> Option<UnitPrice> {
    let price = violations.require(path, price)?;
    let currency: Result<Currency, _> = price.currency_code.parse();
    let currency = violations.check(Within(path, "currency_code"), currency)?;
    Some(UnitPrice::new(price.micros, currency))
}

/// A field of a message that stands at a path.
pub(super) struct Within(pub(super) At, pub(super) &'static str);

impl From<Within> for String {
    fn from(Within(path, field): Within) -> Self {
        format!("{}.{field}", Self::from(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_counted_in_characters() {
        let mut violations = Violations::new();
        assert_eq!(text(&mut violations, "t", "  café ", 1, 4).as_deref(), Some("café"));
        assert_eq!(text(&mut violations, "t", "", 0, 4).as_deref(), Some(""));
        assert!(violations.is_empty());
        for (bad, min) in [("cafés", 1), (" ", 1), ("a\0b", 0), ("a\nb", 0)] {
            let mut violations = Violations::new();
            assert_eq!(text(&mut violations, "t", bad, min, 4), None, "{bad:?}");
            assert!(!violations.is_empty());
        }
    }

    #[test]
    fn instants_that_no_calendar_has_are_refused() {
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000), (253_402_300_800, 0)] {
            let mut violations = Violations::new();
            assert_eq!(instant(&mut violations, "t", Some(Timestamp { seconds, nanos })), None);
            assert!(!violations.is_empty());
        }
        let mut violations = Violations::new();
        let at = instant(&mut violations, "t", Some(Timestamp { seconds: 1, nanos: 1_999 })).unwrap();
        assert_eq!(at.timestamp_subsec_nanos(), 1_000);
    }
}
