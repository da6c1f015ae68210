//! Messages to domain values, all violations of a request at once; domain values to messages.

use std::{collections::HashSet, str::FromStr};

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::{
    catalog::v1 as catalog,
    orders::v1 as proto,
    r#type::v1::{Money, UnitPrice as UnitPriceMessage},
};
use oneshelf_values::{
    Currency, Quantity, RequestId, Sku, TextError, UnitPrice, clock::truncate, quantity::MAX_QUANTITY,
};
use prost::Message as _;
use prost_types::Timestamp;
use tonic::Status;

use crate::{
    domain::{
        order::{Allocation, Fee, Filter, Order, Origin, ShipUnits, State, total},
        returns::{Item, Return, ReturnRequest},
        ticket::{Ticket, TicketLine},
    },
    time::timestamp,
    usecases::{
        cancel_order::CancelOrder,
        place_order::{PlaceOrder, Proof, Quote, QuotedLine},
        return_items::ReturnItems,
        ship_order::ShipOrder,
    },
};

/// Lines and fees of one order, ticket or return, together.
pub const MAX_LINES: usize = 2_000;
const MAX_REFERENCE: usize = 100;
const MAX_PAGE_SIZE: i32 = 500;
const DEFAULT_PAGE_SIZE: i32 = 50;
/// What is taken for an instant of this world; PostgreSQL knows them all.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=9999;
/// A till's clock may be this far ahead.
const TILL_SKEW: TimeDelta = TimeDelta::days(1);

fn id<T: FromStr<Err = TextError>>(v: &mut Violations, field: impl Into<String>, text: &str) -> Option<T> {
    v.check(field, text.parse())
}

/// An id that may be empty. A malformed one is `None` beside a violation, which decides in the end.
fn optional_id<T: FromStr<Err = TextError>>(v: &mut Violations, field: impl Into<String>, text: &str) -> Option<T> {
    if text.trim().is_empty() { None } else { id(v, field, text) }
}

fn text(v: &mut Violations, field: impl Into<String>, text: &str, least: usize, most: usize) -> Option<String> {
    let text = text.trim();
    let count = text.chars().count();
    if (least..=most).contains(&count) && !text.chars().any(char::is_control) {
        return Some(text.to_owned());
    }
    v.add(field, format!("must be {least} to {most} characters, none of them a control character"));
    None
}

fn quantity(v: &mut Violations, field: impl Into<String>, value: i64, least: i64) -> Option<i64> {
    if (least..=MAX_QUANTITY).contains(&value) {
        return Some(value);
    }
    v.add(field, format!("must be {least} to {MAX_QUANTITY}"));
    None
}

/// An instant that may be unset. A malformed one is `None` beside a violation.
fn instant(v: &mut Violations, field: &str, time: Option<Timestamp>) -> Option<DateTime<Utc>> {
    let time = time?;
    // chrono takes more nanoseconds than a second has, for leap seconds.
    let parsed = u32::try_from(time.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)
        .and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos))
        .filter(|at| YEARS.contains(&at.year()));
    v.check(field, parsed.ok_or("must be an instant of the years 1900 to 9999")).map(truncate)
}

/// A price in the currency of the whole, which may not be known where that itself is a violation.
fn unit_price(
    v: &mut Violations,
    field: &str,
    price: Option<&UnitPriceMessage>,
    currency: Option<Currency>,
    least: i64,
) -> Option<UnitPrice> {
    let Some(price) = price else {
        v.add(field, "is required");
        return None;
    };
    let found = v.check(format!("{field}.currency_code"), price.currency_code.parse::<Currency>())?;
    if let Some(expected) = currency.filter(|expected| *expected != found) {
        v.add(format!("{field}.currency_code"), format!("must be {expected}, one currency for all"));
        return None;
    }
    if price.micros < least {
        v.add(format!("{field}.micros"), format!("must be at least {least}"));
        return None;
    }
    Some(UnitPrice::new(price.micros, found))
}

/// The one rounding of a line.
fn line_total(v: &mut Violations, field: &str, price: UnitPrice, quantity: i64) -> Option<i64> {
    v.check(field, price.times(quantity)).map(oneshelf_values::Money::minor)
}

fn fees(v: &mut Violations, items: &[proto::FeeItem], currency: Option<Currency>) -> Option<Vec<Fee>> {
    let fees: Vec<Option<Fee>> =
        (0..).zip(items.iter().take(MAX_LINES)).map(|(n, item)| fee(v, n, item, currency)).collect();
    fees.into_iter().collect()
}

fn fee(v: &mut Violations, n: usize, item: &proto::FeeItem, currency: Option<Currency>) -> Option<Fee> {
    let at = |field: &str| format!("fees[{n}].{field}");
    let code = text(v, at("code"), &item.code, 1, 32);
    let description = text(v, at("description"), &item.description, 0, 200);
    let price = unit_price(v, &at("unit_price"), item.unit_price.as_ref(), currency, i64::MIN);
    if item.quantity == 0 || item.quantity.unsigned_abs() > MAX_QUANTITY.unsigned_abs() {
        v.add(at("quantity"), format!("must be -{MAX_QUANTITY} to {MAX_QUANTITY}, not 0"));
        return None;
    }
    let price = price?;
    Some(Fee {
        total_minor: line_total(v, &at("unit_price"), price, item.quantity)?,
        code: code?,
        description: description?,
        quantity: item.quantity,
        unit_price_micros: price.micros(),
    })
}

fn count(v: &mut Violations, field: &str, goods: usize, fees: usize) {
    if !(1..=MAX_LINES).contains(&goods.saturating_add(fees)) {
        v.add(field, format!("with fees must have 1 to {MAX_LINES} entries"));
    }
}

/// The value; or all violations, without which it is never `None`.
fn finish<T>(violations: Violations, value: Option<T>) -> Result<T, Status> {
    match value {
        Some(value) if violations.is_empty() => Ok(value),
        _ => Err(violations.into_status()),
    }
}

pub fn place_order(mut request: proto::PlaceOrderRequest) -> Result<PlaceOrder, Status> {
    let v = &mut Violations::new();
    let order_id = id::<RequestId>(v, "request_id", &std::mem::take(&mut request.request_id));
    let key = order_id.map(|id| Key::of("PlaceOrder", id.as_uuid(), &request));
    let location = id(v, "location_id", &request.location_id);
    let member = optional_id(v, "member_id", &request.member_id);
    let reference = text(v, "reference", &request.reference, 0, MAX_REFERENCE);
    let effective_at = instant(v, "effective_time", request.effective_time);
    let signed = v.require("signed_quote", request.signed_quote);
    let quote = signed.as_ref().and_then(|signed| {
        let quote = catalog::Quote::decode(&signed.quote[..]).ok().and_then(quote);
        if quote.is_none() {
            v.add("signed_quote.quote", "is not a quote as QuotePrices returned it");
        }
        quote
    });
    let command = (|| {
        let signed = signed?;
        let key = key?;
        Some(PlaceOrder {
            order_id: key.request_id.into(),
            fingerprint: key.fingerprint,
            quote: quote?,
            proof: Proof { signed: signed.quote, key_id: signed.key_id, signature: signed.signature },
            location: location?,
            member,
            reference: reference?,
            effective_at,
        })
    })();
    finish(std::mem::take(v), command)
}

/// A quote whose parts are what the catalog makes; anything else was never signed.
fn quote(quote: catalog::Quote) -> Option<Quote> {
    if !(1..=MAX_LINES).contains(&(quote.lines.len() + quote.fees.len())) {
        return None;
    }
    let currency: Currency = quote.currency_code.parse().ok()?;
    let lines: Vec<QuotedLine> = quote.lines.into_iter().map(quoted_line).collect::<Option<_>>()?;
    let fees: Vec<Fee> = quote.fees.into_iter().map(quoted_fee).collect::<Option<_>>()?;
    // Totals re-add (M2): what is charged is the sum of what is stored.
    let goods = total(currency, lines.iter().map(|line| line.total_minor)).ok()?;
    let charges = total(currency, fees.iter().map(|fee| fee.total_minor)).ok()?;
    if quote.goods_total?.minor_units != goods || quote.fee_total?.minor_units != charges {
        return None;
    }
    let expires_at = quote.expire_time?;
    Some(Quote {
        quote_id: quote.quote_id.parse().ok()?,
        book_version: quote.book_version,
        channel: quote.channel_id.parse().ok()?,
        partner: if quote.partner_id.is_empty() { None } else { Some(quote.partner_id.parse().ok()?) },
        currency,
        expires_at: DateTime::from_timestamp(expires_at.seconds, u32::try_from(expires_at.nanos).ok()?)?,
        lines,
        fees,
    })
}

fn quoted_line(line: catalog::QuotedLine) -> Option<QuotedLine> {
    Quantity::try_new(line.quantity).ok().filter(|quantity| !quantity.is_zero())?;
    if line.total_minor < 0 {
        return None;
    }
    Some(QuotedLine {
        sku: line.sku.parse::<Sku>().ok()?,
        quantity: line.quantity,
        list_unit_price_micros: line.list_unit_price.map(|price| price.micros),
        unit_price_micros: line.unit_price?.micros,
        override_reason: line.override_reason,
        total_minor: line.total_minor,
    })
}

fn quoted_fee(fee: catalog::QuotedFee) -> Option<Fee> {
    if fee.quantity == 0 {
        return None;
    }
    Some(Fee {
        code: fee.code,
        description: fee.description,
        quantity: fee.quantity,
        unit_price_micros: fee.unit_price?.micros,
        total_minor: fee.total_minor,
    })
}

pub fn ship_order(mut request: proto::ShipOrderRequest) -> Result<ShipOrder, Status> {
    let v = &mut Violations::new();
    let request_id = id::<RequestId>(v, "request_id", &std::mem::take(&mut request.request_id));
    let key = request_id.map(|id| Key::of("ShipOrder", id.as_uuid(), &request));
    let order_id = id(v, "order_id", &request.order_id);
    let tracking_number = text(v, "tracking_number", &request.tracking_number, 0, MAX_REFERENCE);
    let effective_at = instant(v, "effective_time", request.effective_time);
    let mut lines = &request.lines[..];
    if lines.len() > MAX_LINES {
        v.add("lines", format!("must have at most {MAX_LINES} entries"));
        lines = &[];
    }
    let mut named = HashSet::new();
    let mut units = Vec::with_capacity(lines.len());
    for (n, line) in lines.iter().enumerate() {
        if line.line_no < 1 {
            v.add(format!("lines[{n}].line_no"), "must be at least 1");
        } else if !named.insert(line.line_no) {
            v.add(format!("lines[{n}].line_no"), "is named twice");
        }
        if let Some(quantity) = quantity(v, format!("lines[{n}].quantity"), line.quantity, 0) {
            units.push(ShipUnits { line_no: line.line_no, quantity });
        }
    }
    if !lines.is_empty() && lines.iter().all(|line| line.quantity == 0) {
        v.add("lines", "must ship at least one unit; an order of which nothing ships is cancelled");
    }
    let command = (|| {
        Some(ShipOrder {
            key: key?,
            order_id: order_id?,
            units,
            tracking_number: tracking_number.map(|number| (!number.is_empty()).then_some(number))?,
            effective_at,
        })
    })();
    finish(std::mem::take(v), command)
}

pub fn cancel_order(mut request: proto::CancelOrderRequest) -> Result<CancelOrder, Status> {
    let v = &mut Violations::new();
    let request_id = id::<RequestId>(v, "request_id", &std::mem::take(&mut request.request_id));
    let key = request_id.map(|id| Key::of("CancelOrder", id.as_uuid(), &request));
    let order_id = id(v, "order_id", &request.order_id);
    let reason = text(v, "reason", &request.reason, 1, 200);
    let command = (|| Some(CancelOrder { key: key?, order_id: order_id?, reason: reason? }))();
    finish(std::mem::take(v), command)
}

pub fn return_items(mut request: proto::ReturnItemsRequest) -> Result<ReturnItems, Status> {
    let v = &mut Violations::new();
    let return_id = id::<RequestId>(v, "request_id", &std::mem::take(&mut request.request_id));
    let key = return_id.map(|id| Key::of("ReturnItems", id.as_uuid(), &request));
    let channel = id(v, "channel_id", &request.channel_id);
    let location = id(v, "location_id", &request.location_id);
    let partner = optional_id(v, "partner_id", &request.partner_id);
    let member = optional_id(v, "member_id", &request.member_id);
    let currency = v.check("currency_code", request.currency_code.parse::<Currency>());
    let reference = text(v, "reference", &request.reference, 0, MAX_REFERENCE);
    let effective_at = instant(v, "effective_time", request.effective_time);
    count(v, "items", request.items.len(), request.fees.len());
    let items: Vec<Option<Item>> =
        request.items.iter().take(MAX_LINES).enumerate().map(|(n, item)| return_item(v, n, item, currency)).collect();
    let fees = fees(v, &request.fees, currency);
    let command = (|| {
        let key = key?;
        Some(ReturnItems {
            request: ReturnRequest {
                return_id: key.request_id.into(),
                channel: channel?,
                location: location?,
                partner,
                member,
                items: items.into_iter().collect::<Option<_>>()?,
                fees: fees?,
                currency: currency?,
                reference: reference?,
            },
            fingerprint: key.fingerprint,
            effective_at,
        })
    })();
    finish(std::mem::take(v), command)
}

fn return_item(v: &mut Violations, n: usize, item: &proto::ReturnItem, currency: Option<Currency>) -> Option<Item> {
    let at = |field: &str| format!("items[{n}].{field}");
    let units = quantity(v, at("quantity"), item.quantity, 1);
    if item.order_id.trim().is_empty() {
        if item.order_line_no != 0 {
            v.add(at("order_line_no"), "needs an order_id");
        }
        let sku = id(v, at("sku"), &item.sku);
        let price = unit_price(v, &at("unit_price"), item.unit_price.as_ref(), currency, 0);
        let quantity = units?;
        return Some(Item::Loose {
            sku: sku?,
            quantity,
            refund_minor: line_total(v, &at("unit_price"), price?, quantity)?,
        });
    }
    let order_id = id(v, at("order_id"), &item.order_id);
    let sku = optional_id(v, at("sku"), &item.sku);
    if item.order_line_no < 1 {
        v.add(at("order_line_no"), "must be at least 1 with an order_id");
    }
    if item.unit_price.is_some() {
        v.add(at("unit_price"), "is not allowed with an order: what was paid is refunded");
    }
    Some(Item::Sold { order_id: order_id?, line_no: item.order_line_no, sku, quantity: units? })
}

/// A ticket as it came; `now` bounds how far ahead a till's clock may be.
pub fn ticket(message: &proto::Ticket, now: DateTime<Utc>) -> Result<Ticket, Status> {
    let v = &mut Violations::new();
    let device = id(v, "device_id", &message.device_id);
    let ticket_no = text(v, "ticket_no", &message.ticket_no, 1, 50);
    let channel = id(v, "channel_id", &message.channel_id);
    let location = id(v, "location_id", &message.location_id);
    let member = optional_id(v, "member_id", &message.member_id);
    let currency = v.check("currency_code", message.currency_code.parse::<Currency>());
    count(v, "lines", message.lines.len(), message.fees.len());
    let lines: Vec<Option<TicketLine>> =
        message.lines.iter().take(MAX_LINES).enumerate().map(|(n, line)| ticket_line(v, n, line, currency)).collect();
    let fees = fees(v, &message.fees, currency);
    let sold_at = instant(v, "sale_time", message.sale_time);
    if message.sale_time.is_none() {
        v.add("sale_time", "is required");
    }
    if sold_at.is_some_and(|at| at > now + TILL_SKEW) {
        v.add("sale_time", "must not be more than a day in the future");
    }
    let ticket = (|| {
        Some(Ticket {
            device: device?,
            ticket_no: ticket_no?,
            channel: channel?,
            location: location?,
            member,
            currency: currency?,
            lines: lines.into_iter().collect::<Option<_>>()?,
            fees: fees?,
            sold_at: sold_at?,
            fingerprint: Key::of("RecordSales", uuid::Uuid::nil(), message).fingerprint,
        })
    })();
    finish(std::mem::take(v), ticket)
}

fn ticket_line(
    v: &mut Violations,
    n: usize,
    line: &proto::TicketLine,
    currency: Option<Currency>,
) -> Option<TicketLine> {
    let at = |field: &str| format!("lines[{n}].{field}");
    let sku = id(v, at("sku"), &line.sku);
    let units = quantity(v, at("quantity"), line.quantity, 1);
    let price = unit_price(v, &at("unit_price"), line.unit_price.as_ref(), currency, 0);
    let list_price =
        line.list_unit_price.as_ref().and_then(|price| unit_price(v, &at("list_unit_price"), Some(price), currency, 0));
    let override_reason = text(v, at("override_reason"), &line.override_reason, 0, MAX_REFERENCE);
    let (quantity, price) = (units?, price?);
    Some(TicketLine {
        sku: sku?,
        quantity,
        unit_price_micros: price.micros(),
        list_unit_price_micros: list_price.map(UnitPrice::micros),
        override_reason: override_reason?,
        total_minor: line_total(v, &at("unit_price"), price, quantity)?,
    })
}

/// A request that names one thing.
pub fn one_id<T: FromStr<Err = TextError>>(field: &str, text: &str) -> Result<T, Status> {
    let mut v = Violations::new();
    let found = id(&mut v, field, text);
    finish(v, found)
}

pub fn list_orders(request: &proto::ListOrdersRequest) -> Result<(Filter, usize), Status> {
    let v = &mut Violations::new();
    let channel = optional_id(v, "channel_id", &request.channel_id);
    let partner = optional_id(v, "partner_id", &request.partner_id);
    let member = optional_id(v, "member_id", &request.member_id);
    let state = v.check("state", proto::OrderState::try_from(request.state).map_err(|_| "is not a state"));
    let page_size = match request.page_size {
        0 => DEFAULT_PAGE_SIZE,
        size => size,
    };
    if !(1..=MAX_PAGE_SIZE).contains(&page_size) {
        v.add("page_size", format!("must be 0 to {MAX_PAGE_SIZE}"));
    }
    let after = match &request.page_token[..] {
        "" => None,
        token => v.check("page_token", page_after(token).ok_or("is not one that a page gave")),
    };
    let filter = Filter { channel, partner, member, state: state.and_then(state_of), after };
    Ok((finish(std::mem::take(v), Some(filter))?, page_size as usize))
}

/// Opaque to callers: the last order's creation in microseconds, and its id.
pub fn page_token((created_at, order_id): (DateTime<Utc>, oneshelf_values::OrderId)) -> String {
    format!("{:x}.{}", created_at.timestamp_micros(), order_id.as_uuid().simple())
}

fn page_after(token: &str) -> Option<(DateTime<Utc>, oneshelf_values::OrderId)> {
    let (micros, order_id) = token.split_once('.')?;
    let created_at = DateTime::from_timestamp_micros(i64::from_str_radix(micros, 16).ok()?)?;
    YEARS.contains(&created_at.year()).then_some(())?;
    Some((created_at, order_id.parse().ok()?))
}

fn state_of(state: proto::OrderState) -> Option<State> {
    Some(match state {
        proto::OrderState::Unspecified => return None,
        proto::OrderState::Placing => State::Placing,
        proto::OrderState::Confirmed => State::Confirmed,
        proto::OrderState::Shipping => State::Shipping,
        proto::OrderState::Shipped => State::Shipped,
        proto::OrderState::Cancelling => State::Cancelling,
        proto::OrderState::Cancelled => State::Cancelled,
        proto::OrderState::Refused => State::Refused,
        proto::OrderState::Recorded => State::Recorded,
        proto::OrderState::Completed => State::Completed,
    })
}

fn state_message(state: State) -> proto::OrderState {
    match state {
        State::Placing => proto::OrderState::Placing,
        State::Confirmed => proto::OrderState::Confirmed,
        State::Shipping => proto::OrderState::Shipping,
        State::Shipped => proto::OrderState::Shipped,
        State::Cancelling => proto::OrderState::Cancelling,
        State::Cancelled => proto::OrderState::Cancelled,
        State::Refused => proto::OrderState::Refused,
        State::Recorded => proto::OrderState::Recorded,
        State::Completed => proto::OrderState::Completed,
    }
}

pub fn order_message(order: Order) -> proto::Order {
    let currency = order.currency;
    let (kind, quote_id, book_version) = match &order.origin {
        Origin::Quote { quote_id, book_version } => (proto::OrderKind::Placed, quote_id.to_string(), *book_version),
        Origin::Ticket { .. } => (proto::OrderKind::Ticket, String::new(), 0),
    };
    proto::Order {
        order_id: order.order_id.to_string(),
        kind: kind.into(),
        state: state_message(order.state).into(),
        channel_id: order.channel.to_string(),
        location_id: order.location.to_string(),
        partner_id: order.partner.as_ref().map(ToString::to_string).unwrap_or_default(),
        member_id: order.member.as_ref().map(ToString::to_string).unwrap_or_default(),
        currency_code: currency.to_string(),
        goods_total: Some(money(order.goods_total_minor, currency)),
        fee_total: Some(money(order.fee_total_minor, currency)),
        total: Some(money(order.total_minor(), currency)),
        quote_id,
        book_version,
        effective_time: Some(timestamp(order.effective_at)),
        create_time: Some(timestamp(order.created_at)),
        version: order.version,
        refusal: order
            .refusal
            .filter(|_| order.state == State::Refused)
            .map(|refusal| refusal.reason)
            .unwrap_or_default(),
        lines: order
            .lines
            .into_iter()
            .map(|line| proto::OrderLine {
                line_no: line.line_no,
                sku: line.sku.into(),
                ordered: line.ordered,
                unallocated: line.unallocated,
                allocated: line.allocated,
                shipped: line.shipped,
                cancelled: line.cancelled,
                returned: line.returned,
                list_unit_price: line.list_unit_price_micros.map(|micros| price(micros, currency)),
                unit_price: Some(price(line.unit_price_micros, currency)),
                override_reason: line.override_reason,
                total_minor: line.total_minor,
            })
            .collect(),
        fees: fee_messages(order.fees, currency),
        reference: order.reference,
        allocations: if matches!(order.state, State::Confirmed | State::Shipping | State::Cancelling) {
            order.allocations.into_iter().map(allocation_message).collect()
        } else {
            Vec::new()
        },
    }
}

fn allocation_message(allocation: Allocation) -> proto::OrderAllocation {
    proto::OrderAllocation {
        sku: allocation.sku.into(),
        location_id: allocation.location.into(),
        quantity: allocation.quantity,
    }
}

pub fn return_message(back: Return) -> proto::Return {
    let currency = back.currency;
    proto::Return {
        return_id: back.return_id.to_string(),
        location_id: back.location.to_string(),
        channel_id: back.channel.to_string(),
        partner_id: back.partner.as_ref().map(ToString::to_string).unwrap_or_default(),
        member_id: back.member.as_ref().map(ToString::to_string).unwrap_or_default(),
        reference: back.reference,
        lines: back
            .lines
            .into_iter()
            .map(|line| proto::ReturnLine {
                line_no: line.line_no,
                order_id: line.sold.map(|(order_id, _)| order_id.to_string()).unwrap_or_default(),
                order_line_no: line.sold.map(|(_, line_no)| line_no).unwrap_or_default(),
                sku: line.sku.into(),
                quantity: line.quantity,
                refund_minor: line.refund_minor,
            })
            .collect(),
        fees: fee_messages(back.fees, currency),
        goods_total: Some(money(back.goods_total_minor, currency)),
        fee_total: Some(money(back.fee_total_minor, currency)),
        effective_time: Some(timestamp(back.effective_at)),
        create_time: Some(timestamp(back.created_at)),
    }
}

fn fee_messages(fees: Vec<Fee>, currency: Currency) -> Vec<proto::OrderFee> {
    fees.into_iter()
        .map(|fee| proto::OrderFee {
            code: fee.code,
            description: fee.description,
            quantity: fee.quantity,
            unit_price: Some(price(fee.unit_price_micros, currency)),
            total_minor: fee.total_minor,
        })
        .collect()
}

fn money(minor_units: i64, currency: Currency) -> Money {
    Money { minor_units, currency_code: currency.to_string() }
}

fn price(micros: i64, currency: Currency) -> UnitPriceMessage {
    UnitPriceMessage { micros, currency_code: currency.to_string() }
}
