//! Names that are the same in every run over the same data.
//!
//! A request id is derived from what the request is about: the content of the data set, the document and the step. So a
//! run that was killed, or is repeated, asks nothing new: every request is answered as it was the first time.

use chrono::{DateTime, Utc};
use oneshelf_values::{MemberId, PartnerId, ProductId, derived_id};
use uuid::{Builder, Uuid};

use super::dataset::Document;

/// The dealer that stands for dealer documents without a customer.
pub const CASH_DEALER: &str = "CASH-DEALER";

/// Makes the request ids of one data set.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    fingerprint: u64,
}

impl Ids {
    pub fn new(fingerprint: u64) -> Self {
        Self { fingerprint }
    }

    /// For a step of a document. The document's time stands in front, so ids sort as the documents came, which keeps
    /// the servers' indexes growing at their end.
    pub fn of_document(self, document: &Document, step: &str) -> String {
        self.at(document.time, &format!("{}/{step}", document.number))
    }

    /// For anything else that the data asks for.
    pub fn of(self, what: &str) -> String {
        self.at(DateTime::UNIX_EPOCH, what)
    }

    /// As [`Self::of`], for what happened then.
    pub fn at(self, time: DateTime<Utc>, what: &str) -> String {
        let millis = time.timestamp_millis().max(0).cast_unsigned();
        let time: Uuid = Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid();
        derived_id(time, &format!("replay/{:016x}/{what}", self.fingerprint)).to_string()
    }
}

pub fn member(customer: &str) -> String {
    code("", customer, |text| text.parse::<MemberId>().ok().map(String::from))
}

pub fn partner(customer: Option<&str>) -> String {
    customer.map_or_else(
        || CASH_DEALER.to_owned(),
        |customer| code("CUST-", customer, |text| text.parse::<PartnerId>().ok().map(String::from)),
    )
}

pub fn product(sku: &str) -> String {
    code("", sku, |text| text.parse::<ProductId>().ok().map(String::from))
}

/// The text as an operator code. Text that is none keeps what it can, with a short name of the whole behind it.
fn code(prefix: &str, text: &str, parse: impl Fn(&str) -> Option<String>) -> String {
    const KEPT: usize = 16;
    parse(&format!("{prefix}{text}")).unwrap_or_else(|| {
        let kept: String = text
            .chars()
            .take(KEPT)
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '-' })
            .collect();
        let name = derived_id(Uuid::nil(), text).simple().to_string();
        format!("{prefix}{kept}-{}", name[24..].to_ascii_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stay_readable_and_every_text_has_one() {
        assert_eq!(member("12347"), "12347");
        assert_eq!(partner(Some("12347")), "CUST-12347");
        assert_eq!(partner(None), CASH_DEALER);
        assert_eq!(product("85123A"), "85123A");
        for text in ["Ä ü", "a b", &"X".repeat(64), "é"] {
            assert!(product(text).parse::<ProductId>().is_ok(), "{text}");
            assert!(partner(Some(text)).parse::<PartnerId>().is_ok(), "{text}");
        }
        assert_ne!(product("A B"), product("A/B"));
    }

    #[test]
    fn the_same_question_has_the_same_id_and_another_data_set_another_one() {
        assert_eq!(Ids::new(1).of("x"), Ids::new(1).of("x"));
        assert_ne!(Ids::new(1).of("x"), Ids::new(2).of("x"));
        assert_ne!(Ids::new(1).of("x"), Ids::new(1).of("y"));
    }
}
