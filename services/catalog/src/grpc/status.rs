//! What a caller is told. The one place where an error becomes a status.

use oneshelf_kit::status::{self, Violations, bad_field, error_info, retry_info};
use oneshelf_pricing::{EntryFault, Place, Refusal as Unpriced};
use oneshelf_proto::catalog::v1::ErrorReason;
use oneshelf_values::Currency;
use tonic::{Code, Status};

use crate::{
    domain::{
        Refusal,
        price_list::{EntryRefusal, Fault},
    },
    usecases::{Error, Kind},
};

const DOMAIN: &str = "catalog.oneshelf";

pub(super) fn status(error: Error) -> Status {
    match error {
        Error::Refused(refusal) => refused(&refusal),
        Error::NotFound { kind, ref id } => not_found(kind, id.clone(), &error),
        Error::RequestIdReused => bad("request_id", &error, ErrorReason::RequestIdReused, NONE),
        Error::OutOfScope => inform(Code::PermissionDenied, &error, ErrorReason::OutOfScope, NONE),
        Error::Denied(denied) => denied.into(),
        Error::Conflict(ref source) => {
            tracing::warn!(error = %source, "gave up on a contended transaction");
            retry_info(Code::Aborted, "try again", DOMAIN, "TRY_AGAIN", NONE, status::RETRY_DELAY)
        }
        Error::NotLoaded | Error::Unavailable(_) => status::unavailable(&error),
        Error::Internal(_) => status::internal(&error),
    }
}

fn refused(refusal: &Refusal) -> Status {
    use Code::{AlreadyExists, FailedPrecondition};
    match refusal {
        Refusal::ProductExists { product_id } => {
            inform(AlreadyExists, refusal, ErrorReason::ProductExists, [("product_id", product_id.to_string())])
        }
        Refusal::SkuExists { sku } => {
            inform(AlreadyExists, refusal, ErrorReason::ProductExists, [("sku", sku.to_string())])
        }
        Refusal::GtinExists { gtin } => {
            inform(AlreadyExists, refusal, ErrorReason::GtinExists, [("gtin", gtin.to_string())])
        }
        Refusal::PriceListExists { price_list_id } => {
            let list = [("price_list_id", price_list_id.to_string())];
            inform(AlreadyExists, refusal, ErrorReason::PriceListExists, list)
        }
        Refusal::ChannelListExists { channel, currency } => {
            let place = [("channel_id", channel.to_string()), ("currency_code", currency.to_string())];
            inform(AlreadyExists, refusal, ErrorReason::PriceListExists, place)
        }
        Refusal::UnknownVariant { sku, line } => {
            inform(FailedPrecondition, refusal, ErrorReason::VariantNotFound, at_line(sku, *line))
        }
        Refusal::NoPartnerList { price_list_id } => {
            let list = [("price_list_id", price_list_id.to_string())];
            inform(FailedPrecondition, refusal, ErrorReason::PriceListNotFound, list)
        }
        Refusal::NoChannelList { channel } => {
            let channel = [("channel_id", channel.to_string())];
            inform(FailedPrecondition, refusal, ErrorReason::PriceListNotFound, channel)
        }
        Refusal::CurrencyMismatch { expected, found, entry } => {
            let field = entry.map(|entry| format!("entries[{entry}].unit_price.currency_code"));
            let field = field.as_deref().unwrap_or("currency_code");
            bad(field, refusal, ErrorReason::CurrencyMismatch, expected_and_found(*expected, *found))
        }
        Refusal::PriceTimeAhead => violation("price_time", "must not be in the future"),
        Refusal::Entries(entries) => entry_violations(entries),
        Refusal::Pricing(unpriced) => not_priced(unpriced),
    }
}

fn not_priced(refusal: &Unpriced) -> Status {
    use Code::FailedPrecondition;
    match refusal {
        Unpriced::PriceNotFound { line, sku } => {
            inform(FailedPrecondition, refusal, ErrorReason::PriceNotFound, at_line(sku, *line))
        }
        Unpriced::Overflow { place } => {
            let place = [("place", place.to_string())];
            inform(FailedPrecondition, refusal, ErrorReason::AmountOverflow, place)
        }
        Unpriced::DiscountExceedsGoods { discount, goods } => {
            let amounts = [("discount", discount.minor().to_string()), ("goods", goods.minor().to_string())];
            inform(FailedPrecondition, refusal, ErrorReason::DiscountExceedsTotal, amounts)
        }
        Unpriced::ListCurrency { expected, found, .. } | Unpriced::CurrencyMismatch { expected, found, .. } => {
            let pair = expected_and_found(*expected, *found);
            bad("currency_code", refusal, ErrorReason::CurrencyMismatch, pair)
        }
        // The door has looked at these already.
        Unpriced::ZeroQuantity { place } => at_place(*place, "quantity", "must not be zero"),
        Unpriced::Negative { place } => at_place(*place, "unit_price", "must not be negative"),
        Unpriced::OverrideWithoutReason { line } => {
            at_place(Place::Line(*line), "override_reason", "must not be empty")
        }
    }
}

fn entry_violations(entries: &[EntryRefusal]) -> Status {
    let mut violations = Violations::new();
    for EntryRefusal { line, fault } in entries {
        let field = match fault {
            Fault::StartsBeforeActivation => "valid_from",
            Fault::Entry(EntryFault::NoQuantity) => "min_quantity",
            Fault::TierRises { .. } | Fault::Entry(EntryFault::NotPositive) => "unit_price.micros",
            Fault::Entry(EntryFault::WrongCurrency { .. }) => "unit_price.currency_code",
            Fault::Entry(EntryFault::EmptyWindow) => "valid_to",
            Fault::Entry(EntryFault::Duplicate { .. }) => "sku",
        };
        violations.add(format!("entries[{line}].{field}"), fault.to_string());
    }
    violations.into_status()
}

fn not_found(kind: Kind, id: String, error: &Error) -> Status {
    let (reason, field) = match kind {
        Kind::Product => (ErrorReason::ProductNotFound, "product_id"),
        Kind::Variant => (ErrorReason::VariantNotFound, "sku"),
        Kind::PriceList => (ErrorReason::PriceListNotFound, "price_list_id"),
    };
    inform(Code::NotFound, error, reason, [(field, id)])
}

const NONE: [(&str, String); 0] = [];

/// Places count from 0, as field paths do.
fn at_line(sku: &oneshelf_values::Sku, line: usize) -> [(&'static str, String); 2] {
    [("sku", sku.to_string()), ("line", line.to_string())]
}

fn at_place(place: Place, field: &str, text: &str) -> Status {
    violation(&format!("{place}.{field}"), text)
}

fn violation(field: &str, text: &str) -> Status {
    let mut violations = Violations::new();
    violations.add(field, text);
    violations.into_status()
}

fn expected_and_found(expected: Currency, found: Currency) -> [(&'static str, String); 2] {
    [("expected", expected.to_string()), ("found", found.to_string())]
}

/// INVALID_ARGUMENT that the catalog's own data shows.
fn bad<const N: usize>(
    field: &str,
    error: &dyn std::error::Error,
    reason: ErrorReason,
    metadata: [(&str, String); N],
) -> Status {
    let name = named(reason, error);
    bad_field(field, error.to_string(), DOMAIN, name, metadata)
}

fn inform<const N: usize>(
    code: Code,
    error: &dyn std::error::Error,
    reason: ErrorReason,
    metadata: [(&str, String); N],
) -> Status {
    let name = named(reason, error);
    error_info(code, error.to_string(), DOMAIN, name, metadata)
}

/// The reason as clients see it; the refusal is logged on the way.
fn named(reason: ErrorReason, error: &dyn std::error::Error) -> &'static str {
    let name = reason.as_str_name();
    tracing::info!(reason = name, error = %error, "refused");
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}
