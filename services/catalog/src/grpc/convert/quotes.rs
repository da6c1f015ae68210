//! Baskets in, quotes out. On the hot path: nothing is allocated for a field that is as it should be, save the texts
//! that the message itself must own.

use oneshelf_kit::status::Violations;
use oneshelf_pricing::{
    Candidate, Fee, KeyRing, Line, PriceEntry, PriceOverride, PricedFee, PricedLine, Verdict, Window,
};
use oneshelf_proto::{catalog::v1 as proto, r#type::v1 as common};
use oneshelf_values::{Currency, Money, Quantity, QuantityDelta, Sku, UnitPrice};
use prost::Message as _;
use tonic::Status;

use super::fields::{At, Within, instant, optional, text, unit_price};
use crate::{
    usecases::{Explained, Question, Quote, QuoteRequest},
    wire::{self, money, timestamp},
};

const MAX_LINES_AND_FEES: usize = 2_000;
pub(super) const MAX_LINE_QUANTITY: i64 = 1_000_000_000;

pub(in crate::grpc) fn request(request: proto::QuotePricesRequest) -> Result<QuoteRequest, Status> {
    let mut violations = Violations::new();
    let channel = violations.check("channel_id", request.channel_id.parse());
    let partner = optional(&mut violations, "partner_id", &request.partner_id);
    let currency: Option<Currency> = violations.check("currency_code", request.currency_code.parse());
    if !(1..=MAX_LINES_AND_FEES).contains(&(request.lines.len() + request.fees.len())) {
        violations.add("lines", format!("must be, together with fees, 1 to {MAX_LINES_AND_FEES}"));
        return Err(violations.into_status());
    }
    let mut lines = Vec::with_capacity(request.lines.len());
    for (index, asked) in request.lines.into_iter().enumerate() {
        lines.extend(line(&mut violations, index, asked, currency));
    }
    let mut fees = Vec::with_capacity(request.fees.len());
    for (index, asked) in request.fees.iter().enumerate() {
        fees.extend(fee(&mut violations, index, asked, currency));
    }
    let order_discount = request.order_discount.and_then(|asked| discount(&mut violations, &asked, currency));
    let price_time = instant(&mut violations, "price_time", request.price_time);
    match (channel, currency) {
        (Some(channel), Some(currency)) if violations.is_empty() => {
            Ok(QuoteRequest { channel, partner, currency, lines, fees, order_discount, price_time })
        }
        _ => Err(violations.into_status()),
    }
}

fn line(violations: &mut Violations, index: usize, line: proto::QuoteLine, currency: Option<Currency>) -> Option<Line> {
    let at = |field| At("lines", index, field);
    let sku: Option<Sku> = violations.check(at("sku"), line.sku.parse());
    let within = (1..=MAX_LINE_QUANTITY).contains(&line.quantity);
    if !within {
        violations.add(at("quantity"), format!("must be 1 to {MAX_LINE_QUANTITY}"));
    }
    let quantity = Quantity::try_new(line.quantity).ok().filter(|_| within);
    let price_override = match &line.override_unit_price {
        None => {
            if !line.override_reason.is_empty() {
                violations.add(at("override_reason"), "must not be set without override_unit_price");
            }
            None
        }
        Some(price) => {
            let path = at("override_unit_price");
            let price = price_in(violations, path, Some(price), currency);
            if price.is_some_and(|price| price.micros() < 0) {
                violations.add(Within(path, "micros"), "must not be negative");
            }
            let reason = text(violations, at("override_reason"), &line.override_reason, 1, 100);
            Some(PriceOverride { unit_price: price?, reason: reason? })
        }
    };
    Some(Line { sku: sku?, quantity: quantity?, price_override })
}

fn fee(violations: &mut Violations, index: usize, fee: &proto::QuoteFee, currency: Option<Currency>) -> Option<Fee> {
    let at = |field| At("fees", index, field);
    let code = text(violations, at("code"), &fee.code, 1, 32);
    let description = text(violations, at("description"), &fee.description, 0, 200);
    let quantity = violations.check(at("quantity"), QuantityDelta::try_new(fee.quantity));
    if fee.quantity == 0 {
        violations.add(at("quantity"), "must not be zero");
    }
    let unit_price = price_in(violations, at("unit_price"), fee.unit_price.as_ref(), currency);
    Some(Fee { code: code?, description: description?, quantity: quantity?, unit_price: unit_price? })
}

fn price_in(
    violations: &mut Violations,
    path: At,
    price: Option<&common::UnitPrice>,
    currency: Option<Currency>,
) -> Option<UnitPrice> {
    let price = unit_price(violations, path, price)?;
    match currency {
        Some(currency) if price.currency() != currency => {
            violations.add(Within(path, "currency_code"), format!("must be {currency}, the quote's currency"));
            None
        }
        _ => Some(price),
    }
}

/// No discount and a discount of zero are the same.
fn discount(violations: &mut Violations, asked: &common::Money, currency: Option<Currency>) -> Option<Money> {
    let own: Option<Currency> = violations.check("order_discount.currency_code", asked.currency_code.parse());
    if let (Some(own), Some(currency)) = (own, currency)
        && own != currency
    {
        violations.add("order_discount.currency_code", format!("must be {currency}, the quote's currency"));
    }
    if asked.minor_units < 0 {
        violations.add("order_discount.minor_units", "must not be negative");
    }
    own.map(|own| Money::new(asked.minor_units, own)).filter(|discount| !discount.is_zero())
}

/// What a caller wants to have explained.
pub(in crate::grpc) fn explain(request: &proto::ExplainPriceRequest) -> Result<Question, Status> {
    let mut violations = Violations::new();
    let channel = violations.check("channel_id", request.channel_id.parse());
    let partner = optional(&mut violations, "partner_id", &request.partner_id);
    let currency: Option<Currency> = violations.check("currency_code", request.currency_code.parse());
    let sku: Option<Sku> = violations.check("sku", request.sku.parse());
    let within = (1..=MAX_LINE_QUANTITY).contains(&request.quantity);
    if !within {
        violations.add("quantity", format!("must be 1 to {MAX_LINE_QUANTITY}"));
    }
    let quantity = Quantity::try_new(request.quantity).ok().filter(|_| within);
    let price_time = instant(&mut violations, "price_time", request.price_time);
    match (channel, currency, sku, quantity) {
        (Some(channel), Some(currency), Some(sku), Some(quantity)) if violations.is_empty() => {
            Ok(Question { channel, partner, currency, sku, quantity, price_time })
        }
        _ => Err(violations.into_status()),
    }
}

pub(in crate::grpc) fn explained_proto(explained: Explained) -> proto::ExplainPriceResponse {
    let Explained { sku, price_time, explanation } = explained;
    proto::ExplainPriceResponse {
        book_version: explanation.book_version,
        price_time: Some(timestamp(price_time)),
        unit_price: explanation.taken().map(|taken| wire::unit_price(taken.window.unit_price)),
        total: explanation.gross.map(money),
        left_out: explanation.left_out.try_into().unwrap_or(i32::MAX),
        candidates: explanation.candidates.into_iter().map(|candidate| candidate_proto(&sku, candidate)).collect(),
    }
}

fn candidate_proto(sku: &Sku, candidate: Candidate) -> proto::PriceCandidate {
    let Window { valid_from, valid_to, min_quantity, unit_price, book_version } = candidate.window;
    let entry = PriceEntry { sku: sku.clone(), unit_price, min_quantity, valid_from, valid_to };
    let verdict = match candidate.verdict {
        Verdict::Taken => proto::PriceVerdict::Taken,
        Verdict::NotYetValid => proto::PriceVerdict::NotYetValid,
        Verdict::Ended => proto::PriceVerdict::Ended,
        Verdict::QuantityTooSmall => proto::PriceVerdict::QuantityTooSmall,
        Verdict::Superseded => proto::PriceVerdict::Superseded,
        Verdict::HigherTier => proto::PriceVerdict::HigherTier,
        Verdict::ListComesLater => proto::PriceVerdict::ListComesLater,
    };
    proto::PriceCandidate {
        price_list_id: candidate.price_list_id.into(),
        entry: Some(wire::price_entry(&entry, book_version)),
        verdict: verdict.into(),
    }
}

/// The quote as a message and, encoded once, as the bytes that are signed.
pub(in crate::grpc) fn sealed(quote: Quote, keys: &KeyRing) -> proto::QuotePricesResponse {
    let quote = quote_proto(quote);
    let bytes = quote.encode_to_vec();
    let signature = keys.sign(&bytes);
    let signed = proto::SignedQuote { quote: bytes, key_id: signature.key_id, signature: signature.bytes.to_vec() };
    proto::QuotePricesResponse { quote: Some(quote), signed_quote: Some(signed) }
}

fn quote_proto(quote: Quote) -> proto::Quote {
    let Quote { quote_id, price_time, created_at, expires_at, evaluated, request } = quote;
    let lines = (1..).zip(request.lines).zip(evaluated.lines);
    let fees = request.fees.into_iter().zip(evaluated.fees);
    proto::Quote {
        quote_id: quote_id.to_string(),
        book_version: evaluated.book_version,
        channel_id: request.channel.to_string(),
        partner_id: request.partner.map(String::from).unwrap_or_default(),
        currency_code: request.currency.code().to_owned(),
        price_time: Some(timestamp(price_time)),
        create_time: Some(timestamp(created_at)),
        expire_time: Some(timestamp(expires_at)),
        lines: lines.map(|((line_no, line), priced)| quoted_line(line_no, line, priced)).collect(),
        fees: fees.map(|(fee, priced)| quoted_fee(fee, priced)).collect(),
        goods_total: Some(money(evaluated.goods_total)),
        fee_total: Some(money(evaluated.fee_total)),
        total: Some(money(evaluated.total)),
        discount: Some(money(evaluated.discount)),
    }
}

fn quoted_line(line_no: i32, line: Line, priced: PricedLine) -> proto::QuotedLine {
    proto::QuotedLine {
        line_no,
        sku: line.sku.into(),
        quantity: line.quantity.get(),
        list_unit_price: priced.list_unit_price.map(wire::unit_price),
        unit_price: Some(wire::unit_price(priced.unit_price)),
        override_reason: line.price_override.map(|charged| charged.reason).unwrap_or_default(),
        price_list_id: priced.price_list_id.map(String::from).unwrap_or_default(),
        gross_minor: priced.gross.minor(),
        discount_minor: priced.discount.minor(),
        total_minor: priced.total.minor(),
        list_min_quantity: priced.min_quantity.unwrap_or_default(),
    }
}

fn quoted_fee(fee: Fee, priced: PricedFee) -> proto::QuotedFee {
    proto::QuotedFee {
        code: fee.code,
        description: fee.description,
        quantity: fee.quantity.get(),
        unit_price: Some(wire::unit_price(fee.unit_price)),
        total_minor: priced.total.minor(),
    }
}
