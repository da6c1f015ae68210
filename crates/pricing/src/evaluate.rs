//! Pricing a basket.
//!
//! 1. Unit price of a line: the partner's list if it has the SKU at the instant, else the channel's list; a permitted
//!    override, with its reason, is charged instead and stands beside the list price. Only an override can be zero.
//! 2. Gross = unit price × quantity, rounded half to even, once.
//! 3. The order discount is shared over the goods in proportion to gross, by largest remainder, to the unit (M2).
//! 4. Line total = gross − discount; totals are sums of lines, in checked arithmetic, so they always add up again.
//!
//! Fees are charges without stock (postage, a correction). Their quantity and price are signed; no discount touches them.

use chrono::{DateTime, Utc};
use oneshelf_values::{
    Currency, Money, MoneyError, PriceListId, Quantity, QuantityDelta, Sku, UnitPrice, apportion,
};

use crate::book::{ListPrices, PriceBook};

/// Who buys where, in what currency, and as of when.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub channel_list: &'a PriceListId,
    /// Goes before the channel's list where it has a price.
    pub partner_list: Option<&'a PriceListId>,
    pub currency: Currency,
    /// The instant that prices are taken at.
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub sku: Sku,
    /// At least 1.
    pub quantity: Quantity,
    pub price_override: Option<PriceOverride>,
}

/// A price charged instead of the list's. Whether the caller may is not decided here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceOverride {
    /// Zero for free goods; not negative.
    pub unit_price: UnitPrice,
    /// Not empty.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fee {
    pub code: String,
    pub description: String,
    /// Not zero; negative takes back.
    pub quantity: QuantityDelta,
    pub unit_price: UnitPrice,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Basket<'a> {
    pub lines: &'a [Line],
    pub fees: &'a [Fee],
    /// Not negative, not above the gross of the goods. `None` is none.
    pub order_discount: Option<Money>,
}

/// The price of the basket. Lines and fees stand in the order of the basket's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    pub book_version: i64,
    pub lines: Vec<PricedLine>,
    pub fees: Vec<PricedFee>,
    /// Σ line totals, after discount.
    pub goods_total: Money,
    /// Σ fee totals.
    pub fee_total: Money,
    /// Σ line discounts.
    pub discount: Money,
    /// Goods and fees. Negative where fees take back more than the goods cost.
    pub total: Money,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedLine {
    /// `None` only where an override was needed because no list has the SKU.
    pub list_unit_price: Option<UnitPrice>,
    /// The list that `list_unit_price` came from.
    pub price_list_id: Option<PriceListId>,
    /// What is charged per unit, before the discount.
    pub unit_price: UnitPrice,
    pub gross: Money,
    pub discount: Money,
    /// gross − discount.
    pub total: Money,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PricedFee {
    pub total: Money,
}

/// The part of the request that a refusal is about. Indices are 0-based.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Line(usize),
    Fee(usize),
    OrderDiscount,
    Total,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(index) => write!(f, "lines[{index}]"),
            Self::Fee(index) => write!(f, "fees[{index}]"),
            Self::OrderDiscount => f.write_str("order_discount"),
            Self::Total => f.write_str("total"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("lines[{line}]: no price for {sku} at that instant")]
    PriceNotFound { line: usize, sku: Sku },
    #[error("price list {list} is in {found}, not {expected}")]
    ListCurrency {
        list: PriceListId,
        expected: Currency,
        found: Currency,
    },
    #[error("{place}: must be in {expected}, not {found}")]
    CurrencyMismatch {
        place: Place,
        expected: Currency,
        found: Currency,
    },
    #[error("{place}: the quantity must not be zero")]
    ZeroQuantity { place: Place },
    #[error("{place}: must not be negative")]
    Negative { place: Place },
    #[error("lines[{line}]: an override needs a reason")]
    OverrideWithoutReason { line: usize },
    #[error("{place}: the amount leaves the range of 64-bit integers")]
    Overflow { place: Place },
    #[error("the discount of {discount} is larger than the goods, {goods}")]
    DiscountExceedsGoods { discount: Money, goods: Money },
}

/// Prices a basket. The first fault found is the answer, lines before fees before the discount.
pub fn evaluate(
    book: &PriceBook,
    context: &Context<'_>,
    basket: &Basket<'_>,
) -> Result<Evaluated, Refusal> {
    let currency = context.currency;
    let partner = context
        .partner_list
        .map(|list| find_list(book, list, currency))
        .transpose()?
        .flatten();
    let channel = find_list(book, context.channel_list, currency)?;

    let mut lines = Vec::with_capacity(basket.lines.len());
    for (index, line) in basket.lines.iter().enumerate() {
        lines.push(price_line(index, line, [partner, channel], context)?);
    }
    let fees = price_fees(basket.fees, currency)?;

    let gross = sum(currency, lines.iter().map(|line| line.gross))?;
    let discount = basket.order_discount.unwrap_or(Money::zero(currency));
    if discount != Money::zero(currency) {
        apply_discount(&mut lines, discount, gross)?;
    }

    let goods_total = sum(currency, lines.iter().map(|line| line.total))?;
    let fee_total = sum(currency, fees.iter().map(|fee| fee.total))?;
    let total = sum(currency, [goods_total, fee_total])?;
    Ok(Evaluated {
        book_version: book.version(),
        lines,
        fees,
        goods_total,
        fee_total,
        discount,
        total,
    })
}

type FoundList<'a> = (&'a PriceListId, &'a ListPrices);

/// A list that the book does not know has no prices yet; one in another currency is a fault.
fn find_list<'a>(
    book: &'a PriceBook,
    list: &'a PriceListId,
    expected: Currency,
) -> Result<Option<FoundList<'a>>, Refusal> {
    match book.list(list) {
        Some(prices) if prices.currency() != expected => Err(Refusal::ListCurrency {
            list: list.clone(),
            expected,
            found: prices.currency(),
        }),
        found => Ok(found.map(|prices| (list, prices))),
    }
}

fn price_line(
    index: usize,
    line: &Line,
    lists: [Option<FoundList<'_>>; 2],
    context: &Context<'_>,
) -> Result<PricedLine, Refusal> {
    let place = Place::Line(index);
    if line.quantity.is_zero() {
        return Err(Refusal::ZeroQuantity { place });
    }
    let listed = lists.into_iter().flatten().find_map(|(list, prices)| {
        prices
            .price_at(&line.sku, context.at)
            .map(|window| (list, window.unit_price))
    });
    let unit_price = match (&line.price_override, listed) {
        (Some(charged), _) => {
            require_currency(place, context.currency, charged.unit_price.currency())?;
            if charged.unit_price.micros() < 0 {
                return Err(Refusal::Negative { place });
            }
            if charged.reason.trim().is_empty() {
                return Err(Refusal::OverrideWithoutReason { line: index });
            }
            charged.unit_price
        }
        (None, Some((_, unit_price))) => unit_price,
        (None, None) => {
            return Err(Refusal::PriceNotFound {
                line: index,
                sku: line.sku.clone(),
            });
        }
    };
    let gross = unit_price
        .times(line.quantity)
        .map_err(|error| refuse(place, error))?;
    Ok(PricedLine {
        list_unit_price: listed.map(|(_, unit_price)| unit_price),
        price_list_id: listed.map(|(list, _)| list.clone()),
        unit_price,
        gross,
        discount: Money::zero(context.currency),
        total: gross,
    })
}

fn price_fees(fees: &[Fee], currency: Currency) -> Result<Vec<PricedFee>, Refusal> {
    fees.iter()
        .enumerate()
        .map(|(index, fee)| {
            let place = Place::Fee(index);
            require_currency(place, currency, fee.unit_price.currency())?;
            if fee.quantity.is_zero() {
                return Err(Refusal::ZeroQuantity { place });
            }
            let total = fee
                .unit_price
                .times(fee.quantity)
                .map_err(|error| refuse(place, error))?;
            Ok(PricedFee { total })
        })
        .collect()
}

fn apply_discount(lines: &mut [PricedLine], discount: Money, gross: Money) -> Result<(), Refusal> {
    let place = Place::OrderDiscount;
    require_currency(place, gross.currency(), discount.currency())?;
    if discount.is_negative() {
        return Err(Refusal::Negative { place });
    }
    let exceeds = Refusal::DiscountExceedsGoods {
        discount,
        goods: gross,
    };
    if discount.minor() > gross.minor() {
        return Err(exceeds);
    }
    let weights: Vec<i64> = lines.iter().map(|line| line.gross.minor()).collect();
    // A gross is never negative and their sum is at least the discount, so this always finds takers.
    let shares = apportion(discount.minor(), &weights).map_err(|_| exceeds)?;
    for (line, share) in lines.iter_mut().zip(shares) {
        line.discount = Money::new(share, discount.currency());
        line.total = line
            .gross
            .checked_sub(line.discount)
            .map_err(|error| refuse(place, error))?;
    }
    Ok(())
}

fn require_currency(place: Place, expected: Currency, found: Currency) -> Result<(), Refusal> {
    if expected == found {
        Ok(())
    } else {
        Err(Refusal::CurrencyMismatch {
            place,
            expected,
            found,
        })
    }
}

fn sum(currency: Currency, amounts: impl IntoIterator<Item = Money>) -> Result<Money, Refusal> {
    Money::sum(currency, amounts).map_err(|error| refuse(Place::Total, error))
}

fn refuse(place: Place, error: MoneyError) -> Refusal {
    match error {
        MoneyError::CurrencyMismatch { left, right } => Refusal::CurrencyMismatch {
            place,
            expected: left,
            found: right,
        },
        MoneyError::Overflow | MoneyError::NotADecimal | MoneyError::NotAShare => {
            Refusal::Overflow { place }
        }
    }
}
