//! A document is what points are counted from: an order, a till's ticket, a return. Its points are the whole major units
//! of what was paid for its goods, cut towards zero once per document and not per line or shipment.
//!
//! ```text
//! shipment 1: 12.60      total 12.60 → 12 points, entry +12
//! shipment 2:  7.50      total 20.10 → 20 points, entry  +8
//! the same again: every line is known, nothing happens
//! ```
//!
//! A line is known by (document, shipment, line number): so it earns once, whatever is delivered again and in which
//! order. A return is a document of its own with negative lines, so its points are negative.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, MemberId, Money};
use uuid::Uuid;

use super::{Member, Refusal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    Sale,
    Return,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub id: Uuid,
    pub member_id: MemberId,
    pub kind: DocumentKind,
    /// The sum of the lines that came so far; refunds are negative.
    pub total: Money,
    pub points: i64,
}

/// Goods that moved under a document: what one event reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub document_id: Uuid,
    pub member_id: MemberId,
    pub kind: DocumentKind,
    pub currency: Currency,
    /// Which part of the document: rises with each shipment of an order.
    pub shipment: i64,
    pub effective_at: DateTime<Utc>,
    /// Line numbers and signed amounts in minor units.
    pub lines: Vec<(i32, i64)>,
}

/// A line of a document, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentLine {
    pub document_id: Uuid,
    pub shipment: i64,
    pub line_no: i32,
    pub amount_minor: i64,
}

/// One change of a member's balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub member_id: MemberId,
    pub document_id: Uuid,
    pub kind: DocumentKind,
    pub points: i64,
    pub effective_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
}

/// What a delivery adds to the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub lines: Vec<DocumentLine>,
    /// None when the points did not change.
    pub entry: Option<Entry>,
}

impl Document {
    /// The document of a delivery, before any of its lines is counted.
    pub fn new(delivery: &Delivery) -> Self {
        Self {
            id: delivery.document_id,
            member_id: delivery.member_id.clone(),
            kind: delivery.kind,
            total: Money::zero(delivery.currency),
            points: 0,
        }
    }

    /// Counts a delivery's lines that are not `known` yet. A refused delivery changes nothing.
    pub fn count(
        &mut self,
        member: &mut Member,
        delivery: &Delivery,
        known: impl Fn(i64, i32) -> bool,
        now: DateTime<Utc>,
    ) -> Result<Counted, Refusal> {
        self.require_same(delivery)?;
        let overflow = || Refusal::PointsOverflow { member_id: self.member_id.clone() };
        let mut seen = HashSet::with_capacity(delivery.lines.len());
        let mut lines = Vec::with_capacity(delivery.lines.len());
        for &(line_no, amount_minor) in &delivery.lines {
            if !seen.insert(line_no) {
                return Err(Refusal::LineTwice { document_id: self.id, line_no });
            }
            if !known(delivery.shipment, line_no) {
                let (document_id, shipment) = (self.id, delivery.shipment);
                lines.push(DocumentLine { document_id, shipment, line_no, amount_minor });
            }
        }
        let added = Money::sum(
            self.total.currency(),
            lines.iter().map(|line| Money::new(line.amount_minor, self.total.currency())),
        );
        let total = added.and_then(|added| self.total.checked_add(added)).map_err(|_| overflow())?;
        let points = points_of(total);
        let change = points.checked_sub(self.points).ok_or_else(overflow)?;
        if change != 0 {
            member.recount(self.points, points)?;
        }
        self.total = total;
        self.points = points;
        let entry = (change != 0).then(|| Entry {
            member_id: self.member_id.clone(),
            document_id: self.id,
            kind: self.kind,
            points: change,
            effective_at: delivery.effective_at,
            recorded_at: now,
        });
        Ok(Counted { lines, entry })
    }

    fn require_same(&self, delivery: &Delivery) -> Result<(), Refusal> {
        if delivery.member_id != self.member_id {
            return Err(Refusal::OtherMember {
                document_id: self.id,
                member_id: self.member_id.clone(),
                given: delivery.member_id.clone(),
            });
        }
        if delivery.currency != self.total.currency() {
            return Err(Refusal::OtherCurrency {
                document_id: self.id,
                currency: self.total.currency(),
                given: delivery.currency,
            });
        }
        Ok(())
    }
}

/// Whole major units, cut towards zero: 12.99 and 12.01 pounds are 12 points, -0.99 is none; 12 yen are 12 points.
pub fn points_of(total: Money) -> i64 {
    total.minor() / minor_per_point(total.currency())
}

/// A point is a whole major unit: 100 pence, 1 yen, 1,000 fils.
pub fn minor_per_point(currency: Currency) -> i64 {
    10_i64.pow(currency.exponent())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn member() -> Member {
        Member { id: "M-1".parse().unwrap(), balance: 0, earned: 0, version: 1, enrolled_at: None }
    }

    fn delivery(kind: DocumentKind, currency: &str, shipment: i64, amounts: &[i64]) -> Delivery {
        Delivery {
            document_id: Uuid::from_u128(1),
            member_id: "M-1".parse().unwrap(),
            kind,
            currency: currency.parse().unwrap(),
            shipment,
            effective_at: now(),
            lines: (1..).zip(amounts.iter().copied()).collect(),
        }
    }

    fn points(currency: &str, amounts: &[i64]) -> i64 {
        let delivery = delivery(DocumentKind::Sale, currency, 1, amounts);
        let mut document = Document::new(&delivery);
        document.count(&mut member(), &delivery, |_, _| false, now()).unwrap();
        document.points
    }

    #[test]
    fn points_are_cut_once_per_document_and_not_per_line() {
        assert_eq!(points("GBP", &[150, 150]), 3);
        assert_eq!(points("GBP", &[199]), 1);
        assert_eq!(points("GBP", &[99]), 0);
        assert_eq!(points("GBP", &[-199]), -1);
        assert_eq!(points("GBP", &[-99]), 0);
        assert_eq!(points("GBP", &[0]), 0);
    }

    #[test]
    fn the_currency_decides_what_a_major_unit_is() {
        assert_eq!(points("JPY", &[12, 7]), 19);
        assert_eq!(points("KWD", &[1_999, 1]), 2);
        assert_eq!(points("KWD", &[1_999]), 1);
    }

    #[test]
    fn a_second_shipment_earns_the_difference_to_the_total() {
        let (first, second) =
            (delivery(DocumentKind::Sale, "GBP", 2, &[1_260]), delivery(DocumentKind::Sale, "GBP", 3, &[750]));
        let mut member = member();
        let mut document = Document::new(&first);
        let twelve = document.count(&mut member, &first, |_, _| false, now()).unwrap();
        let eight = document.count(&mut member, &second, |_, _| false, now()).unwrap();
        assert_eq!((twelve.entry.unwrap().points, eight.entry.unwrap().points), (12, 8));
        assert_eq!((member.balance, member.earned), (20, 20));
    }

    #[test]
    fn known_lines_earn_nothing() {
        let sale = delivery(DocumentKind::Sale, "GBP", 1, &[500, 500]);
        let mut member = member();
        let mut document = Document::new(&sale);
        document.count(&mut member, &sale, |_, _| false, now()).unwrap();
        let (before, counted) = (member.clone(), document.clone());
        let again = document.count(&mut member, &sale, |_, _| true, now()).unwrap();
        assert_eq!(again, Counted { lines: vec![], entry: None });
        assert_eq!((member, document), (before, counted));
    }

    #[test]
    fn a_return_takes_back_and_leaves_what_was_earned() {
        let mut member = Member { balance: 5, earned: 5, ..member() };
        let back = delivery(DocumentKind::Return, "GBP", 1, &[-799]);
        Document::new(&back).count(&mut member, &back, |_, _| false, now()).unwrap();
        assert_eq!((member.balance, member.earned), (-2, 5));
    }

    #[test]
    fn a_contradicting_delivery_changes_nothing() {
        let sale = delivery(DocumentKind::Sale, "GBP", 1, &[500]);
        let mut document = Document::new(&sale);
        let mut member = member();
        let stranger = Delivery { member_id: "M-2".parse().unwrap(), ..sale.clone() };
        let euros = Delivery { currency: Currency::EUR, ..sale.clone() };
        let twice = Delivery { lines: vec![(1, 500), (1, 500)], ..sale.clone() };
        let vast = Delivery { lines: vec![(1, i64::MAX), (2, 1)], ..sale.clone() };
        for (wrong, refusal) in
            [(stranger, "OtherMember"), (euros, "OtherCurrency"), (twice, "LineTwice"), (vast, "PointsOverflow")]
        {
            let refused = document.count(&mut member, &wrong, |_, _| false, now()).unwrap_err();
            assert!(format!("{refused:?}").starts_with(refusal), "{refused:?}");
        }
        assert_eq!(document, Document::new(&sale));
        assert_eq!(member.version, 1);
    }

    proptest! {
        /// However an order's lines are spread over shipments, delivered again and reordered, its points are those of its
        /// total, and the member's sums are those of the entries.
        #[test]
        fn deliveries_add_up_in_any_order_and_number(
            amounts in prop::collection::vec(0_i64..5_000, 1..12),
            order in prop::collection::vec(0_usize..12, 0..40),
        ) {
            let deliveries: Vec<Delivery> = (1..)
                .zip(amounts.chunks(3))
                .map(|(shipment, lines)| delivery(DocumentKind::Sale, "GBP", shipment, lines))
                .collect();
            let mut member = member();
            let mut document = Document::new(&deliveries[0]);
            let (mut known, mut entries) = (HashSet::new(), 0);
            for nth in order.into_iter().chain(0..deliveries.len()) {
                let Some(delivery) = deliveries.get(nth) else { continue };
                let is_known = |shipment, line_no| known.contains(&(shipment, line_no));
                let counted = document.count(&mut member, delivery, is_known, now()).unwrap();
                known.extend(counted.lines.iter().map(|line| (line.shipment, line.line_no)));
                entries += counted.entry.map_or(0, |entry| entry.points);
                prop_assert_eq!(member.balance, entries);
                prop_assert_eq!(member.earned, entries);
            }
            prop_assert_eq!(document.points, amounts.iter().sum::<i64>() / 100);
            prop_assert_eq!(known.len(), amounts.len());
        }
    }
}
