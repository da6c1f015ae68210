//! What a customer bought, and what may become of it.
//!
//! ```text
//! placing ─→ confirmed ─→ shipping ─→ shipped        recorded ─→ completed   (a till's ticket)
//!    │           └──────→ cancelling ─→ cancelled
//!    └─→ refused
//! ```
//!
//! The states ending in *-ing* last as long as a process works on the order (see [`super::process`]); only it may end
//! them. On every line, always (L1): `ordered = unallocated + allocated + shipped + cancelled`, `returned ≤ shipped`.
//! Money is fixed when the order is written: the n-th unit of a line has its own share of the line's total, and
//! whoever ships, refunds or captures adds up shares.
//!
//! Each transition raises the version by one. A placed order has passed the same transitions when it first reaches a
//! state, so what was answered then can be told again at any time: [`Order::as_confirmed`], [`Order::as_shipped`].

use chrono::{DateTime, Utc};
use oneshelf_pricing::amount_of_units;
use oneshelf_values::{
    ChannelId, Currency, DeviceId, LocationId, MemberId, Money, OrderId, PartnerId, Quantity, QuoteId, Sku,
};

use super::{
    Refusal, RemoteRefusal,
    process::{Touches, named},
};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Placing,
    Confirmed,
    Shipping,
    Shipped,
    Cancelling,
    Cancelled,
    Refused,
    Recorded,
    Completed,
}

named!(State {
    Placing = "placing",
    Confirmed = "confirmed",
    Shipping = "shipping",
    Shipped = "shipped",
    Cancelling = "cancelling",
    Cancelled = "cancelled",
    Refused = "refused",
    Recorded = "recorded",
    Completed = "completed",
});

/// How the order came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Through PlaceOrder, at the prices of a quote.
    Quote { quote_id: QuoteId, book_version: i64 },
    /// A till's ticket.
    Ticket { device: DeviceId, ticket_no: String },
}

/// An order with its lines and fees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub order_id: OrderId,
    pub origin: Origin,
    pub state: State,
    pub channel: ChannelId,
    /// Ships, or is the till's.
    pub location: LocationId,
    pub partner: Option<PartnerId>,
    pub member: Option<MemberId>,
    pub reference: String,
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub fees: Vec<Fee>,
    pub goods_total_minor: i64,
    pub fee_total_minor: i64,
    /// Set from the moment a remote refused.
    pub refusal: Option<RemoteRefusal>,
    pub cancel_reason: Option<String>,
    pub tracking_number: Option<String>,
    pub effective_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub version: i64,
    /// Where allocated units are once inventory moved some; empty: all at `location`.
    pub allocations: Vec<Allocation>,
}

/// Units of a SKU that inventory holds for an order at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    pub sku: Sku,
    pub location: LocationId,
    pub quantity: i64,
}

/// Where an order's units are, as inventory told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedHold {
    pub order_id: OrderId,
    /// Of the hold: how often it was moved.
    pub version: i64,
    /// All that is held, each (SKU, location) once.
    pub allocations: Vec<Allocation>,
}

/// Goods of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub line_no: i32,
    pub sku: Sku,
    pub ordered: i64,
    pub unallocated: i64,
    pub allocated: i64,
    /// Of the allocated: on their way out.
    pub shipping: i64,
    pub shipped: i64,
    pub cancelled: i64,
    pub returned: i64,
    pub list_unit_price_micros: Option<i64>,
    pub unit_price_micros: i64,
    pub override_reason: String,
    pub total_minor: i64,
}

/// A charge without stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fee {
    pub code: String,
    pub description: String,
    /// Signed.
    pub quantity: i64,
    pub unit_price_micros: i64,
    pub total_minor: i64,
}

/// Units of one SKU, added up over lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuUnits {
    pub sku: Sku,
    pub quantity: i64,
}

/// Versions that a placed order has when it first reaches a state.
const CONFIRMED_VERSION: i64 = 2;
const SHIPPED_VERSION: i64 = 4;

impl Line {
    /// What was charged for `count` units after the first `first`.
    pub fn amount_of(&self, first: i64, count: i64) -> i64 {
        Quantity::try_new(self.ordered)
            .ok()
            .and_then(|ordered| amount_of_units(self.total_minor, ordered, first, count).ok())
            .expect("the counts of a line stay within what was ordered")
    }

    /// Units that can still come back.
    pub fn returnable(&self) -> i64 {
        self.shipped - self.returned
    }
}

/// The sum of line totals or fee totals.
pub fn total(currency: Currency, amounts: impl Iterator<Item = i64>) -> Result<i64, Refusal> {
    Ok(Money::sum(currency, amounts.map(|minor| Money::new(minor, currency)))?.minor())
}

/// Adds units up by SKU, in SKU order, leaving out what is zero: a remote sees each SKU once.
pub fn units_by_sku<'a>(units: impl Iterator<Item = (&'a Sku, i64)>) -> Vec<SkuUnits> {
    let mut sums = std::collections::BTreeMap::<&Sku, i64>::new();
    for (sku, quantity) in units {
        *sums.entry(sku).or_default() += quantity;
    }
    sums.into_iter()
        .filter(|(_, quantity)| *quantity > 0)
        .map(|(sku, quantity)| SkuUnits { sku: sku.clone(), quantity })
        .collect()
}

impl Order {
    /// Goods and fees; checked when the order was made.
    pub fn total_minor(&self) -> i64 {
        self.goods_total_minor.saturating_add(self.fee_total_minor)
    }

    /// Credit is held for dealers who owe something.
    pub fn touches(&self) -> Touches {
        Touches { stock: !self.lines.is_empty(), credit: self.partner.is_some() && self.total_minor() > 0 }
    }

    fn state_refusal(&self) -> Refusal {
        Refusal::OrderState { order_id: self.order_id, state: self.state }
    }

    fn go(&mut self, from: State, to: State) -> Result<(), Refusal> {
        if self.state != from {
            return Err(self.state_refusal());
        }
        self.state = to;
        self.version += 1;
        Ok(())
    }

    /// Stock and credit are held.
    pub fn confirm(&mut self) -> Result<(), Refusal> {
        self.go(State::Placing, State::Confirmed)?;
        for line in &mut self.lines {
            line.allocated = std::mem::take(&mut line.unallocated);
        }
        Ok(())
    }

    /// Stock or credit was not to be had; `refusal` says why.
    pub fn refuse(&mut self) -> Result<(), Refusal> {
        self.go(State::Placing, State::Refused)?;
        for line in &mut self.lines {
            line.cancelled += std::mem::take(&mut line.unallocated);
        }
        Ok(())
    }

    /// Names the units to despatch; no names means all of them.
    pub fn start_shipping(&mut self, units: &[ShipUnits], tracking_number: Option<String>) -> Result<(), Refusal> {
        self.go(State::Confirmed, State::Shipping)?;
        if units.is_empty() {
            for line in &mut self.lines {
                line.shipping = line.allocated;
            }
        }
        for &ShipUnits { line_no, quantity } in units {
            let line = self.line_mut(line_no)?;
            if quantity > line.allocated {
                return Err(Refusal::ShipExceedsAllocated { line_no, allocated: line.allocated, requested: quantity });
            }
            line.shipping = quantity;
        }
        self.tracking_number = tracking_number;
        Ok(())
    }

    /// The despatch is booked: what was named has left, the rest will not be supplied.
    pub fn finish_shipping(&mut self) -> Result<(), Refusal> {
        self.go(State::Shipping, State::Shipped)?;
        for line in &mut self.lines {
            let shipped = std::mem::take(&mut line.shipping);
            line.shipped += shipped;
            line.cancelled += std::mem::take(&mut line.allocated) - shipped;
        }
        Ok(())
    }

    /// Only what waits to be shipped can be cancelled.
    pub fn start_cancelling(&mut self, reason: String) -> Result<(), Refusal> {
        self.go(State::Confirmed, State::Cancelling)?;
        self.cancel_reason = Some(reason);
        Ok(())
    }

    /// Everything is given back.
    pub fn finish_cancelling(&mut self) -> Result<(), Refusal> {
        self.go(State::Cancelling, State::Cancelled)?;
        for line in &mut self.lines {
            line.cancelled += std::mem::take(&mut line.allocated);
        }
        Ok(())
    }

    /// The ticket's stock is booked.
    pub fn complete(&mut self) -> Result<(), Refusal> {
        self.go(State::Recorded, State::Completed)
    }

    /// What a despatch charges: the units that go out, and the fees; never less than nothing.
    pub fn despatch_amount_minor(&self) -> Result<i64, Refusal> {
        let goods = self.lines.iter().map(|line| line.amount_of(line.shipped, line.shipping));
        Ok(total(self.currency, goods.chain([self.fee_total_minor]))?.max(0))
    }

    fn line_mut(&mut self, line_no: i32) -> Result<&mut Line, Refusal> {
        let order_id = self.order_id;
        // Lines are numbered from 1 without gaps.
        usize::try_from(line_no - 1)
            .ok()
            .and_then(|index| self.lines.get_mut(index))
            .ok_or(Refusal::LineNotFound { order_id, line_no })
    }

    /// As it was when it had just been confirmed: what PlaceOrder answers, whatever happened since.
    #[must_use]
    pub fn as_confirmed(mut self) -> Self {
        self.state = State::Confirmed;
        self.version = CONFIRMED_VERSION;
        self.allocations.clear();
        for line in &mut self.lines {
            line.allocated = line.ordered;
            (line.unallocated, line.shipping, line.shipped, line.cancelled, line.returned) = (0, 0, 0, 0, 0);
        }
        self
    }

    /// A shipped order as it was before anything came back: what ShipOrder answers.
    #[must_use]
    pub fn as_shipped(mut self) -> Self {
        self.version = SHIPPED_VERSION;
        for line in &mut self.lines {
            line.returned = 0;
        }
        self
    }
}

/// How many units of a line go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShipUnits {
    pub line_no: i32,
    pub quantity: i64,
}

/// Which orders to list, and after which one.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub channel: Option<ChannelId>,
    pub partner: Option<PartnerId>,
    pub member: Option<MemberId>,
    pub state: Option<State>,
    pub after: Option<(DateTime<Utc>, OrderId)>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(lines: &[(i64, i64)]) -> Order {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        Order {
            order_id: "0193a1b2-0000-7000-8000-000000000001".parse().unwrap(),
            origin: Origin::Quote {
                quote_id: "0193a1b2-0000-7000-8000-000000000002".parse().unwrap(),
                book_version: 1,
            },
            state: State::Placing,
            channel: "WEB".parse().unwrap(),
            location: "WH".parse().unwrap(),
            partner: Some("D-1".parse().unwrap()),
            member: None,
            reference: String::new(),
            currency: Currency::GBP,
            lines: (1..)
                .zip(lines)
                .map(|(line_no, &(ordered, total_minor))| Line {
                    line_no,
                    sku: format!("S{line_no}").parse().unwrap(),
                    ordered,
                    unallocated: ordered,
                    allocated: 0,
                    shipping: 0,
                    shipped: 0,
                    cancelled: 0,
                    returned: 0,
                    list_unit_price_micros: None,
                    unit_price_micros: 0,
                    override_reason: String::new(),
                    total_minor,
                })
                .collect(),
            fees: Vec::new(),
            goods_total_minor: lines.iter().map(|(_, total_minor)| total_minor).sum(),
            fee_total_minor: 0,
            refusal: None,
            cancel_reason: None,
            tracking_number: None,
            effective_at: now,
            created_at: now,
            version: 1,
            allocations: Vec::new(),
        }
    }

    fn adds_up(order: &Order) -> bool {
        order.lines.iter().all(|line| {
            let counts = [line.unallocated, line.allocated, line.shipped, line.cancelled];
            counts.iter().sum::<i64>() == line.ordered
                && counts.iter().all(|count| *count >= 0)
                && (0..=line.allocated).contains(&line.shipping)
                && (0..=line.shipped).contains(&line.returned)
        })
    }

    #[derive(Debug, Clone)]
    enum Act {
        Confirm,
        Refuse,
        Ship(Vec<(i32, i64)>),
        Shipped,
        Cancel,
        Cancelled,
        Complete,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => Just(Act::Confirm),
            1 => Just(Act::Refuse),
            3 => prop::collection::vec((0..4_i32, 0..6_i64), 0..4).prop_map(Act::Ship),
            3 => Just(Act::Shipped),
            1 => Just(Act::Cancel),
            1 => Just(Act::Cancelled),
            1 => Just(Act::Complete),
        ]
    }

    proptest! {
        #[test]
        fn lines_add_up_and_versions_rise_by_one_whatever_is_tried(
            lines in prop::collection::vec((1..6_i64, 0..1_000_i64), 1..4),
            acts in prop::collection::vec(act(), 0..8),
        ) {
            let mut order = order(&lines);
            for act in acts {
                let mut changed = order.clone();
                let done = match &act {
                    Act::Confirm => changed.confirm(),
                    Act::Refuse => changed.refuse(),
                    Act::Ship(units) => {
                        let units: Vec<_> =
                            units.iter().map(|&(line_no, quantity)| ShipUnits { line_no, quantity }).collect();
                        changed.start_shipping(&units, None)
                    }
                    Act::Shipped => changed.finish_shipping(),
                    Act::Cancel => changed.start_cancelling("changed my mind".to_owned()),
                    Act::Cancelled => changed.finish_cancelling(),
                    Act::Complete => changed.complete(),
                };
                if done.is_ok() {
                    prop_assert_eq!(changed.version, order.version + 1);
                    prop_assert!(adds_up(&changed), "{:?}", changed.lines);
                    prop_assert!(changed.despatch_amount_minor().unwrap() <= changed.total_minor());
                    order = changed;
                }
            }
        }

        #[test]
        fn earlier_states_are_told_as_they_were(lines in prop::collection::vec((1..6_i64, 0..1_000_i64), 1..4), short in 0..5_i64) {
            let mut order = order(&lines);
            order.confirm().unwrap();
            let confirmed = order.clone();
            let units = [ShipUnits { line_no: 1, quantity: short.min(order.lines[0].ordered) }];
            order.start_shipping(&units, None).unwrap();
            order.finish_shipping().unwrap();
            let shipped = order.clone();
            order.lines[0].returned = order.lines[0].shipped;
            order.version += 1;
            prop_assert_eq!(&order.clone().as_confirmed(), &confirmed);
            prop_assert_eq!(&order.as_shipped(), &shipped);
        }
    }

    #[test]
    fn only_a_dealers_order_above_zero_touches_credit_and_only_goods_touch_stock() {
        let mut order = order(&[(1, 100)]);
        assert_eq!(order.touches(), Touches { stock: true, credit: true });
        order.fee_total_minor = -100;
        assert_eq!(order.touches(), Touches { stock: true, credit: false });
        (order.fee_total_minor, order.partner) = (0, None);
        order.lines.clear();
        assert_eq!(order.touches(), Touches { stock: false, credit: false });
    }

    #[test]
    fn units_of_a_sku_on_several_lines_are_asked_for_once() {
        let (a, b): (Sku, Sku) = ("A".parse().unwrap(), "B".parse().unwrap());
        let units = units_by_sku([(&b, 1), (&a, 2), (&b, 3), (&a, 0)].into_iter());
        assert_eq!(units, [SkuUnits { sku: a.clone(), quantity: 2 }, SkuUnits { sku: b.clone(), quantity: 4 }]);
        assert!(units_by_sku([(&a, 0)].into_iter()).is_empty());
    }
}
