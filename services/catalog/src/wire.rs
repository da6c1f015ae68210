//! Values as both ways out write them: events and gRPC answers.

use chrono::{DateTime, Utc};
use oneshelf_pricing::PriceEntry;
use oneshelf_proto::{catalog::v1 as proto, r#type::v1 as common};
use oneshelf_values::{Money, UnitPrice};
use prost_types::Timestamp;

pub(crate) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

pub(crate) fn money(amount: Money) -> common::Money {
    common::Money { minor_units: amount.minor(), currency_code: amount.currency().code().to_owned() }
}

pub(crate) fn unit_price(price: UnitPrice) -> common::UnitPrice {
    common::UnitPrice { micros: price.micros(), currency_code: price.currency().code().to_owned() }
}

pub(crate) fn price_entry(price: &PriceEntry, book_version: i64) -> proto::PriceEntry {
    proto::PriceEntry {
        sku: price.sku.to_string(),
        unit_price: Some(unit_price(price.unit_price)),
        valid_from: Some(timestamp(price.valid_from)),
        valid_to: price.valid_to.map(timestamp),
        book_version,
        min_quantity: price.min_quantity,
    }
}
