//! Whatever the basket, the sums hold: P1 (a pure function), M1 (checked amounts), M2 (discounts apportioned to the
//! unit), M3 (refunds of units give back exactly the line).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::{DateTime, Utc};
use oneshelf_pricing::{
    Basket, Context, Fee, Line, PriceBook, PriceEntry, PriceOverride, Window, amount_of_units, evaluate,
};
use oneshelf_values::{Currency, Money, PriceListId, Quantity, QuantityDelta, UnitPrice};
use proptest::prelude::*;

const GBP: Currency = Currency::GBP;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn list(id: &str) -> PriceListId {
    id.parse().unwrap()
}

fn sku(number: u8) -> oneshelf_values::Sku {
    format!("S{number}").parse().unwrap()
}

/// Prices of S0–S5 in two lists; S4 and S5 only in the channel's.
#[derive(Debug, Clone)]
struct Prices {
    channel: Vec<i64>,
    partner: Vec<i64>,
}

fn prices() -> impl Strategy<Value = Prices> {
    (prop::collection::vec(1..100_000_000_i64, 6), prop::collection::vec(1..100_000_000_i64, 4))
        .prop_map(|(channel, partner)| Prices { channel, partner })
}

fn entries(micros: &[i64]) -> Vec<PriceEntry> {
    (0..)
        .zip(micros)
        .map(|(number, micros)| PriceEntry {
            sku: sku(number),
            unit_price: UnitPrice::new(*micros, GBP),
            min_quantity: 1,
            valid_from: at(0),
            valid_to: None,
        })
        .collect()
}

fn book(prices: &Prices) -> PriceBook {
    PriceBook::empty()
        .apply(1, &list("WEB"), GBP, &entries(&prices.channel))
        .and_then(|book| book.apply(2, &list("DEALER"), GBP, &entries(&prices.partner)))
        .unwrap()
}

/// The same book, built the other way: from stored windows.
fn loaded(prices: &Prices) -> PriceBook {
    let windows = |id: &'static str, version, micros: &[i64]| {
        entries(micros).into_iter().map(move |entry| {
            let window = Window {
                valid_from: entry.valid_from,
                valid_to: entry.valid_to,
                min_quantity: entry.min_quantity,
                unit_price: entry.unit_price,
                book_version: version,
            };
            (list(id), entry.sku, window)
        })
    };
    let all = windows("WEB", 1, &prices.channel).chain(windows("DEALER", 2, &prices.partner));
    PriceBook::load(2, [(list("WEB"), GBP), (list("DEALER"), GBP)], all).unwrap()
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0..6_u8, 1..10_000_i64, prop::option::weighted(0.2, 0..50_000_000_i64)).prop_map(
        |(number, units, charged)| Line {
            sku: sku(number),
            quantity: Quantity::try_new(units).unwrap(),
            price_override: charged.map(|micros| PriceOverride {
                unit_price: UnitPrice::new(micros, GBP),
                reason: "price match".to_owned(),
            }),
        },
    );
    prop::collection::vec(line, 1..20)
}

fn fees() -> impl Strategy<Value = Vec<Fee>> {
    let fee = (prop_oneof![-20..0_i64, 1..20_i64], -50_000_000..50_000_000_i64).prop_map(|(units, micros)| Fee {
        code: "POST".to_owned(),
        description: String::new(),
        quantity: QuantityDelta::try_new(units).unwrap(),
        unit_price: UnitPrice::new(micros, GBP),
    });
    prop::collection::vec(fee, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn totals_add_up_again_and_refunds_give_back_the_line(
        prices in prices(),
        lines in lines(),
        fees in fees(),
        dealer in any::<bool>(),
        discount_permille in 0..=1_000_i64,
        cut in any::<prop::sample::Index>(),
    ) {
        let book = book(&prices);
        let (web, dealer_list) = (list("WEB"), list("DEALER"));
        let context = Context {
            channel_list: &web,
            partner_list: dealer.then_some(&dealer_list),
            currency: GBP,
            at: at(1),
        };
        let plain = Basket { lines: &lines, fees: &fees, order_discount: None };
        let goods = evaluate(&book, &context, &plain).unwrap().goods_total.minor();
        let discount = goods / 1_000 * discount_permille;
        let basket = Basket { order_discount: Some(Money::new(discount, GBP)), ..plain };
        let evaluated = evaluate(&book, &context, &basket).unwrap();

        // P1: the same again, from the same book and from the same book built another way.
        prop_assert_eq!(&evaluate(&book, &context, &basket).unwrap(), &evaluated);
        prop_assert_eq!(&evaluate(&loaded(&prices), &context, &basket).unwrap(), &evaluated);

        let (mut goods_total, mut discounted) = (0, 0);
        for (line, priced) in lines.iter().zip(&evaluated.lines) {
            let number: usize = line.sku.as_str()[1..].parse().unwrap();
            let list_micros = prices.partner.get(number).filter(|_| dealer).unwrap_or(&prices.channel[number]);
            prop_assert_eq!(priced.list_unit_price.unwrap().micros(), *list_micros);
            let charged = line.price_override.as_ref().map_or(*list_micros, |p| p.unit_price.micros());
            prop_assert_eq!(priced.unit_price.micros(), charged);

            let gross = priced.gross.minor();
            let off = i128::from(gross) * 10_000 - i128::from(charged) * i128::from(line.quantity.get());
            prop_assert!(off.abs() <= 5_000, "rounded once, by half a penny at most");
            prop_assert!((0..=gross).contains(&priced.discount.minor()));
            prop_assert_eq!(priced.total.minor(), gross - priced.discount.minor());
            goods_total += priced.total.minor();
            discounted += priced.discount.minor();

            let units = line.quantity.get();
            let first = cut.index(units as usize + 1) as i64;
            let front = amount_of_units(priced.total.minor(), line.quantity, 0, first).unwrap();
            let back = amount_of_units(priced.total.minor(), line.quantity, first, units - first).unwrap();
            prop_assert_eq!(front + back, priced.total.minor());
        }
        prop_assert_eq!(discounted, discount);
        prop_assert_eq!(evaluated.discount.minor(), discount);
        prop_assert_eq!(evaluated.goods_total.minor(), goods_total);
        let fee_total: i64 = evaluated.fees.iter().map(|fee| fee.total.minor()).sum();
        prop_assert_eq!(evaluated.fee_total.minor(), fee_total);
        prop_assert_eq!(evaluated.total.minor(), goods_total + fee_total);
    }
}
