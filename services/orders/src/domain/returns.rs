//! Goods and money going back.
//!
//! A unit of a known order line is refunded at exactly its own share of what was paid: the first return of a line takes
//! the shares of the first units, the next one those that follow. So the refunds of a line that came back whole, in
//! however many steps, add up to what was paid for it (M3).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Currency, LocationId, MemberId, OrderId, PartnerId, ReturnId, Sku};

use super::{
    Refusal,
    order::{Fee, Line, total},
};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnRequest {
    pub return_id: ReturnId,
    pub channel: ChannelId,
    pub location: LocationId,
    pub partner: Option<PartnerId>,
    pub member: Option<MemberId>,
    pub items: Vec<Item>,
    pub fees: Vec<Fee>,
    pub currency: Currency,
    pub reference: String,
}

/// Units that come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Of a known order line; a SKU that is given must be the line's.
    Sold { order_id: OrderId, line_no: i32, sku: Option<Sku>, quantity: i64 },
    /// Of no known order, at a price that the caller vouches for.
    Loose { sku: Sku, quantity: i64, refund_minor: i64 },
}

/// Goods and money going back, as decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    pub return_id: ReturnId,
    pub channel: ChannelId,
    pub location: LocationId,
    pub partner: Option<PartnerId>,
    pub member: Option<MemberId>,
    pub reference: String,
    pub currency: Currency,
    pub lines: Vec<ReturnLine>,
    pub fees: Vec<Fee>,
    /// Positive.
    pub goods_total_minor: i64,
    /// With the sign of a charge.
    pub fee_total_minor: i64,
    pub effective_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnLine {
    pub line_no: i32,
    /// The order's id and line number, where the sale is known.
    pub sold: Option<(OrderId, i32)>,
    pub sku: Sku,
    pub quantity: i64,
    pub refund_minor: i64,
}

/// What a return needs to know about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    pub channel: ChannelId,
    pub partner: Option<PartnerId>,
    pub member: Option<MemberId>,
    pub currency: Currency,
    /// The lines that the request names, by number; those that exist.
    pub lines: HashMap<i32, Line>,
}

/// Decides a return against the locked `sales`, whose `returned` counts move with it.
pub fn decide(
    request: ReturnRequest,
    sales: &mut BTreeMap<OrderId, Sale>,
    effective_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Return, Refusal> {
    let currency = request.currency;
    let mut lines = Vec::with_capacity(request.items.len());
    for (index, item) in request.items.into_iter().enumerate() {
        lines.push(take_back(index, item, sales, currency)?);
    }
    let partner = party(request.partner, "partner_id", sales, |sale| sale.partner.as_ref())?;
    let member = party(request.member, "member_id", sales, |sale| sale.member.as_ref())?;
    let goods_total_minor = total(currency, lines.iter().map(|line| line.refund_minor))?;
    let fee_total_minor = total(currency, request.fees.iter().map(|fee| fee.total_minor))?;
    // What goes back, all in all, must be an amount as well.
    let back = i128::from(goods_total_minor) - i128::from(fee_total_minor);
    i64::try_from(back).map_err(|_| Refusal::AmountOverflow)?;
    Ok(Return {
        return_id: request.return_id,
        channel: request.channel,
        location: request.location,
        partner,
        member,
        reference: request.reference,
        currency,
        lines,
        fees: request.fees,
        goods_total_minor,
        fee_total_minor,
        effective_at,
        created_at: now,
    })
}

fn take_back(
    index: usize,
    item: Item,
    sales: &mut BTreeMap<OrderId, Sale>,
    currency: Currency,
) -> Result<ReturnLine, Refusal> {
    let return_line_no = index as i32 + 1;
    let (order_id, line_no, sku, quantity) = match item {
        Item::Loose { sku, quantity, refund_minor } => {
            return Ok(ReturnLine { line_no: return_line_no, sold: None, sku, quantity, refund_minor });
        }
        Item::Sold { order_id, line_no, sku, quantity } => (order_id, line_no, sku, quantity),
    };
    let sale = sales.get_mut(&order_id).ok_or(Refusal::OrderNotFound(order_id))?;
    if sale.currency != currency {
        return Err(Refusal::CurrencyMismatch { expected: sale.currency, found: currency });
    }
    let line = sale.lines.get_mut(&line_no).ok_or(Refusal::LineNotFound { order_id, line_no })?;
    if sku.is_some_and(|sku| sku != line.sku) {
        return Err(Refusal::NotTheOrders { field: format!("items[{index}].sku"), order_id });
    }
    if quantity > line.returnable() {
        return Err(Refusal::ReturnExceedsShipped {
            order_id,
            line_no,
            returnable: line.returnable(),
            requested: quantity,
        });
    }
    let refund_minor = line.amount_of(line.returned, quantity);
    line.returned += quantity;
    Ok(ReturnLine {
        line_no: return_line_no,
        sold: Some((order_id, line_no)),
        sku: line.sku.clone(),
        quantity,
        refund_minor,
    })
}

/// Whose account or points follow: the one that the caller names, which must not be another than an order's own; or,
/// unnamed, the one that all orders agree on.
fn party<T: Clone + PartialEq>(
    named: Option<T>,
    field: &str,
    sales: &BTreeMap<OrderId, Sale>,
    of: impl Fn(&Sale) -> Option<&T>,
) -> Result<Option<T>, Refusal> {
    let Some(named) = named else {
        let mut parties = sales.values().map(of);
        let first = parties.next().flatten();
        return Ok(first.filter(|first| parties.all(|other| other == Some(*first))).cloned());
    };
    match sales.iter().find(|(_, sale)| of(sale).is_some_and(|own| *own != named)) {
        Some((order_id, _)) => Err(Refusal::NotTheOrders { field: field.to_owned(), order_id: *order_id }),
        None => Ok(Some(named)),
    }
}
