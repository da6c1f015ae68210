//! Pricing a basket.
//!
//! 1. Unit price of a line: the partner's list if it has the SKU for this quantity at the instant, else the channel's list
//!    ([`book`](crate::book) says which tier counts; lines of the same SKU are not added up); a permitted override, with its reason, is charged instead and stands beside the list price. Only an override can be zero.
//! 2. Gross = unit price × quantity, rounded half to even, once.
//! 3. The order discount is shared over the goods in proportion to gross, by largest remainder, to the unit (M2).
//! 4. Line total = gross − discount; totals are sums of lines, in checked arithmetic, so they always add up again.
//!
//! Fees are charges without stock (postage, a correction). Their quantity and price are signed; no discount touches them.

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, Money, MoneyError, PriceListId, Quantity, QuantityDelta, Sku, UnitPrice, apportion};

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
    /// The tier of that price: it counts from so many units on.
    pub min_quantity: Option<i64>,
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
    ListCurrency { list: PriceListId, expected: Currency, found: Currency },
    #[error("{place}: must be in {expected}, not {found}")]
    CurrencyMismatch { place: Place, expected: Currency, found: Currency },
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
pub fn evaluate(book: &PriceBook, context: &Context<'_>, basket: &Basket<'_>) -> Result<Evaluated, Refusal> {
    let currency = context.currency;
    let lists = find_lists(book, context)?;
    let mut lines = Vec::with_capacity(basket.lines.len());
    for (index, line) in basket.lines.iter().enumerate() {
        lines.push(price_line(index, line, lists, context)?);
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
    Ok(Evaluated { book_version: book.version(), lines, fees, goods_total, fee_total, discount, total })
}

type FoundList<'a> = (&'a PriceListId, &'a ListPrices);

/// The lists that are asked, in this order.
pub(crate) fn find_lists<'a>(
    book: &'a PriceBook,
    context: &Context<'a>,
) -> Result<[Option<FoundList<'a>>; 2], Refusal> {
    let partner = context.partner_list.map(|list| find_list(book, list, context.currency)).transpose()?.flatten();
    Ok([partner, find_list(book, context.channel_list, context.currency)?])
}

/// What so many units cost, rounded once.
pub(crate) fn gross_of(line: usize, unit_price: UnitPrice, quantity: Quantity) -> Result<Money, Refusal> {
    unit_price.times(quantity).map_err(|error| refuse(Place::Line(line), error))
}

/// A list that the book does not know has no prices yet; one in another currency is a fault.
fn find_list<'a>(
    book: &'a PriceBook,
    list: &'a PriceListId,
    expected: Currency,
) -> Result<Option<FoundList<'a>>, Refusal> {
    match book.list(list) {
        Some(prices) if prices.currency() != expected => {
            Err(Refusal::ListCurrency { list: list.clone(), expected, found: prices.currency() })
        }
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
    let listed = lists
        .into_iter()
        .flatten()
        .find_map(|(list, prices)| Some((list, prices.price_at(&line.sku, line.quantity, context.at)?)));
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
        (None, Some((_, window))) => window.unit_price,
        (None, None) => {
            return Err(Refusal::PriceNotFound { line: index, sku: line.sku.clone() });
        }
    };
    let gross = gross_of(index, unit_price, line.quantity)?;
    Ok(PricedLine {
        list_unit_price: listed.map(|(_, window)| window.unit_price),
        min_quantity: listed.map(|(_, window)| window.min_quantity),
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
            let total = fee.unit_price.times(fee.quantity).map_err(|error| refuse(place, error))?;
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
    let exceeds = Refusal::DiscountExceedsGoods { discount, goods: gross };
    if discount.minor() > gross.minor() {
        return Err(exceeds);
    }
    let weights: Vec<i64> = lines.iter().map(|line| line.gross.minor()).collect();
    // A gross is never negative and their sum is at least the discount, so this always finds takers.
    let shares = apportion(discount.minor(), &weights).map_err(|_| exceeds)?;
    for (line, share) in lines.iter_mut().zip(shares) {
        line.discount = Money::new(share, discount.currency());
        line.total = line.gross.checked_sub(line.discount).map_err(|error| refuse(place, error))?;
    }
    Ok(())
}

fn require_currency(place: Place, expected: Currency, found: Currency) -> Result<(), Refusal> {
    if expected == found { Ok(()) } else { Err(Refusal::CurrencyMismatch { place, expected, found }) }
}

fn sum(currency: Currency, amounts: impl IntoIterator<Item = Money>) -> Result<Money, Refusal> {
    Money::sum(currency, amounts).map_err(|error| refuse(Place::Total, error))
}

fn refuse(place: Place, error: MoneyError) -> Refusal {
    match error {
        MoneyError::CurrencyMismatch { left, right } => {
            Refusal::CurrencyMismatch { place, expected: left, found: right }
        }
        MoneyError::Overflow | MoneyError::NotADecimal | MoneyError::NotAShare => Refusal::Overflow { place },
    }
}

#[cfg(test)]
mod tests {
    use oneshelf_values::PriceListId;

    use super::*;
    use crate::book::PriceEntry;

    const GBP: Currency = Currency::GBP;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn list(id: &str) -> PriceListId {
        id.parse().unwrap()
    }

    fn pounds(text: &str) -> UnitPrice {
        UnitPrice::parse_major(text, GBP).unwrap()
    }

    fn pence(minor: i64) -> Money {
        Money::new(minor, GBP)
    }

    /// WEB: A 2.55, B 0.001, C 10 from second 100 on. DEALER: A 2.00.
    fn book() -> PriceBook {
        let entry = |sku: &str, price: &str, from| PriceEntry {
            sku: sku.parse().unwrap(),
            unit_price: pounds(price),
            min_quantity: 1,
            valid_from: at(from),
            valid_to: None,
        };
        let web = [entry("A", "2.55", 0), entry("B", "0.001", 0), entry("C", "10", 100)];
        PriceBook::empty()
            .apply(6, &list("WEB"), GBP, &web)
            .and_then(|book| book.apply(7, &list("DEALER"), GBP, &[entry("A", "2", 0)]))
            .unwrap()
    }

    fn line(sku: &str, quantity: i64) -> Line {
        Line { sku: sku.parse().unwrap(), quantity: Quantity::try_new(quantity).unwrap(), price_override: None }
    }

    fn overridden(sku: &str, quantity: i64, unit_price: UnitPrice, reason: &str) -> Line {
        let price_override = Some(PriceOverride { unit_price, reason: reason.to_owned() });
        Line { price_override, ..line(sku, quantity) }
    }

    fn fee(code: &str, quantity: i64, unit_price: UnitPrice) -> Fee {
        let quantity = QuantityDelta::try_new(quantity).unwrap();
        Fee { code: code.to_owned(), description: String::new(), quantity, unit_price }
    }

    fn evaluate_at(second: i64, partner: Option<&str>, basket: &Basket<'_>) -> Result<Evaluated, Refusal> {
        let partner = partner.map(list);
        let channel_list = &list("WEB");
        let context = Context { channel_list, partner_list: partner.as_ref(), currency: GBP, at: at(second) };
        evaluate(&book(), &context, basket)
    }

    fn lines_of(lines: &[Line]) -> Result<Evaluated, Refusal> {
        evaluate_at(50, None, &Basket { lines, ..Basket::default() })
    }

    #[test]
    fn the_partners_list_goes_before_the_channels_where_it_has_a_price() {
        let lines = [line("A", 6), line("B", 15)];
        let basket = Basket { lines: &lines, ..Basket::default() };
        let dealer = evaluate_at(50, Some("DEALER"), &basket).unwrap();
        assert_eq!(dealer.lines[0].price_list_id, Some(list("DEALER")));
        assert_eq!(dealer.lines[0].total, pence(1_200));
        assert_eq!(dealer.lines[1].price_list_id, Some(list("WEB")));
        assert_eq!(dealer.lines[1].total, pence(2), "1.5 pence, to even");
        let web = evaluate_at(50, None, &basket).unwrap();
        assert_eq!(web.total, pence(1_532));
        assert_eq!(web.book_version, 7);
        // A list that has not been published yet has no prices.
        assert_eq!(evaluate_at(50, Some("NEW"), &basket).unwrap().lines, web.lines);
    }

    #[test]
    fn a_price_counts_from_its_instant_on() {
        let lines = [line("A", 1), line("C", 1)];
        let basket = Basket { lines: &lines, ..Basket::default() };
        let missing = Refusal::PriceNotFound { line: 1, sku: "C".parse().unwrap() };
        assert_eq!(evaluate_at(99, None, &basket), Err(missing));
        assert_eq!(evaluate_at(100, None, &basket).unwrap().total, pence(1_255));
    }

    #[test]
    fn an_override_is_charged_and_the_list_price_stands_beside_it() {
        let evaluated = lines_of(&[
            overridden("A", 2, pounds("0"), "free sample"),
            overridden("UNLISTED", 1, pounds("3.33"), "manual"),
        ])
        .unwrap();
        assert_eq!(evaluated.lines[0].list_unit_price, Some(pounds("2.55")));
        assert_eq!(evaluated.lines[0].total, pence(0));
        assert_eq!(evaluated.lines[1].list_unit_price, None);
        assert_eq!(evaluated.lines[1].price_list_id, None);
        assert_eq!(evaluated.total, pence(333));
    }

    #[test]
    fn an_override_needs_a_reason_and_a_price_that_is_not_negative() {
        let nameless = [line("A", 1), overridden("A", 1, pounds("1"), " ")];
        assert_eq!(lines_of(&nameless), Err(Refusal::OverrideWithoutReason { line: 1 }));
        let negative = [overridden("A", 1, pounds("-1"), "x")];
        assert_eq!(lines_of(&negative), Err(Refusal::Negative { place: Place::Line(0) }));
        let euros = [overridden("A", 1, UnitPrice::new(1, Currency::EUR), "x")];
        let mismatch = |place| Refusal::CurrencyMismatch { place, expected: GBP, found: Currency::EUR };
        assert_eq!(lines_of(&euros), Err(mismatch(Place::Line(0))));
    }

    #[test]
    fn fees_are_signed_and_take_no_discount() {
        let lines = [line("A", 1)];
        let fees = [fee("POST", 1, pounds("18")), fee("MANUAL", -2, pounds("11.03")), fee("FIX", 1, pounds("-5"))];
        let basket = Basket { lines: &lines, fees: &fees, order_discount: Some(pence(55)) };
        let evaluated = evaluate_at(50, None, &basket).unwrap();
        assert_eq!(evaluated.fees.iter().map(|fee| fee.total.minor()).collect::<Vec<_>>(), [1_800, -2_206, -500]);
        assert_eq!(evaluated.goods_total, pence(200));
        assert_eq!(evaluated.fee_total, pence(-906));
        assert_eq!(evaluated.total, pence(-706));
        let basket = Basket { fees: &[fee("POST", 0, pounds("1"))], ..basket };
        assert_eq!(evaluate_at(50, None, &basket), Err(Refusal::ZeroQuantity { place: Place::Fee(0) }));
    }

    #[test]
    fn the_order_discount_is_apportioned_to_the_unit() {
        let lines = [line("A", 1), line("A", 1), line("A", 1)];
        let basket = Basket { lines: &lines, order_discount: Some(pence(100)), ..Basket::default() };
        let evaluated = evaluate_at(50, None, &basket).unwrap();
        assert_eq!(evaluated.lines.iter().map(|line| line.discount.minor()).collect::<Vec<_>>(), [34, 33, 33]);
        assert_eq!(evaluated.discount, pence(100));
        assert_eq!(evaluated.total, pence(665));
    }

    #[test]
    fn a_discount_must_fit_the_goods() {
        let lines = [line("A", 1)];
        let with = |discount| {
            let basket = Basket { lines: &lines, order_discount: Some(discount), ..Basket::default() };
            evaluate_at(50, None, &basket).map(|evaluated| evaluated.total)
        };
        assert_eq!(with(pence(255)), Ok(pence(0)));
        let exceeds = Refusal::DiscountExceedsGoods { discount: pence(256), goods: pence(255) };
        assert_eq!(with(pence(256)), Err(exceeds));
        assert_eq!(with(pence(-1)), Err(Refusal::Negative { place: Place::OrderDiscount }));
        let place = Place::OrderDiscount;
        let mismatch = Refusal::CurrencyMismatch { place, expected: GBP, found: Currency::EUR };
        assert_eq!(with(Money::zero(Currency::EUR)), Err(mismatch));
    }

    #[test]
    fn quantities_and_totals_out_of_range_are_refused_by_name() {
        assert_eq!(lines_of(&[line("A", 1), line("A", 0)]), Err(Refusal::ZeroQuantity { place: Place::Line(1) }));
        let dear = overridden("A", 1_000_000_000_000, UnitPrice::new(i64::MAX, GBP), "x");
        assert_eq!(lines_of(&[dear]), Err(Refusal::Overflow { place: Place::Line(0) }));
        // Each line fits (9.2 × 10¹⁸ minor units at most), their sum does not.
        let large = overridden("A", 10_000, UnitPrice::new(i64::MAX, GBP), "x");
        assert_eq!(lines_of(&[large.clone(), large]), Err(Refusal::Overflow { place: Place::Total }));
    }

    #[test]
    fn a_list_in_another_currency_is_refused() {
        let lines = [line("A", 1)];
        let channel_list = &list("WEB");
        let context = Context { channel_list, partner_list: None, currency: Currency::EUR, at: at(50) };
        let refusal = Refusal::ListCurrency { list: list("WEB"), expected: Currency::EUR, found: GBP };
        let basket = Basket { lines: &lines, ..Basket::default() };
        assert_eq!(evaluate(&book(), &context, &basket), Err(refusal));
    }

    #[test]
    fn an_empty_basket_costs_nothing() {
        assert_eq!(lines_of(&[]).unwrap().total, pence(0));
    }
}
