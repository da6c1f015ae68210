//! Why a price is what it is: every price that was looked at, taken or not.
//!
//! Lists are asked in the order of [`evaluate`](crate::evaluate()), and the same lookup decides, so an explanation cannot
//! come to another price than a quote. What a candidate was not taken for is the first of these that holds:
//!
//! | verdict | the price |
//! |---|---|
//! | `NotYetValid`, `Ended` | is of another time |
//! | `QuantityTooSmall` | is of a tier that the quantity does not reach |
//! | `Superseded` | is of the same tier as another that starts later, or was published later |
//! | `HigherTier` | is of a lower tier than one that is reached |
//! | `ListComesLater` | would be taken, but a list that goes before has one |

use oneshelf_values::{Money, PriceListId, Quantity, Sku};

use crate::{
    book::{ListPrices, PriceBook, Window},
    evaluate::{Context, Refusal, find_lists, gross_of},
};

/// Candidates of one explanation, at most: the newest of each list.
pub const MAX_CANDIDATES: usize = 500;

/// How the price of a SKU came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub book_version: i64,
    /// In the order of the lists; in each list the newest windows first. At most one is taken.
    pub candidates: Vec<Candidate>,
    /// Candidates that are not shown, all of them not taken.
    pub left_out: usize,
    /// What a quote of the same arguments would charge; `None`: it would be refused for want of a price.
    pub gross: Option<Money>,
}

/// A price that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub price_list_id: PriceListId,
    pub window: Window,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    NotYetValid,
    Ended,
    QuantityTooSmall,
    Superseded,
    HigherTier,
    ListComesLater,
}

impl Explanation {
    /// The price that decides.
    pub fn taken(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.verdict == Verdict::Taken)
    }
}

/// Explains the price of so many units of a SKU. Fails as [`evaluate`](crate::evaluate()) does, but for a missing price.
pub fn explain(book: &PriceBook, context: &Context<'_>, sku: &Sku, quantity: Quantity) -> Result<Explanation, Refusal> {
    let mut candidates = Vec::new();
    let mut left_out = 0;
    let mut decided = None;
    for (list, prices) in find_lists(book, context)?.into_iter().flatten() {
        let found = prices.price_at(sku, quantity, context.at);
        let windows = prices.windows(sku);
        let mut newest: Vec<&Window> = windows.iter().collect();
        newest.sort_by_key(|window| std::cmp::Reverse((window.valid_from, window.book_version, window.min_quantity)));
        for window in newest {
            let verdict = match found {
                Some(taken) if std::ptr::eq(taken, window) && decided.is_none() => Verdict::Taken,
                Some(taken) if std::ptr::eq(taken, window) => Verdict::ListComesLater,
                _ => passed_over(window, prices, sku, quantity, context),
            };
            if candidates.len() < MAX_CANDIDATES || verdict == Verdict::Taken {
                candidates.push(Candidate { price_list_id: list.clone(), window: *window, verdict });
            } else {
                left_out += 1;
            }
        }
        decided = decided.or(found.map(|window| window.unit_price));
    }
    let gross = decided.map(|unit_price| gross_of(0, unit_price, quantity)).transpose()?;
    Ok(Explanation { book_version: book.version(), candidates, left_out, gross })
}

/// Why a window is not the one that its list would give.
fn passed_over(window: &Window, prices: &ListPrices, sku: &Sku, quantity: Quantity, context: &Context<'_>) -> Verdict {
    if context.at < window.valid_from {
        return Verdict::NotYetValid;
    }
    if !window.contains(context.at) {
        return Verdict::Ended;
    }
    if window.min_quantity > quantity.get() {
        return Verdict::QuantityTooSmall;
    }
    let of_tier = prices.tier_at(sku, window.min_quantity, context.at);
    if of_tier.is_some_and(|standing| std::ptr::eq(standing, window)) {
        Verdict::HigherTier
    } else {
        Verdict::Superseded
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use oneshelf_values::{Currency, UnitPrice};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        book::PriceEntry,
        evaluate::{Basket, Line, evaluate},
    };

    const GBP: Currency = Currency::GBP;

    fn list(id: &str) -> PriceListId {
        id.parse().unwrap()
    }

    fn entry(micros: i64, min_quantity: i64, from: i64, to: Option<i64>) -> PriceEntry {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        PriceEntry {
            sku: "A".parse().unwrap(),
            unit_price: UnitPrice::new(micros, GBP),
            min_quantity,
            valid_from: at(from),
            valid_to: to.map(at),
        }
    }

    fn explained(book: &PriceBook, quantity: i64, second: i64) -> Explanation {
        let (web, dealer) = (list("WEB"), list("DEALER"));
        let at = DateTime::from_timestamp(second, 0).unwrap();
        let context = Context { channel_list: &web, partner_list: Some(&dealer), currency: GBP, at };
        explain(book, &context, &"A".parse().unwrap(), Quantity::try_new(quantity).unwrap()).unwrap()
    }

    fn verdicts(explanation: &Explanation) -> Vec<(&str, i64, Verdict)> {
        let one = |found: &Candidate| found.window.unit_price.micros();
        explanation.candidates.iter().map(|found| (found.price_list_id.as_str(), one(found), found.verdict)).collect()
    }

    #[test]
    fn each_candidate_says_why_it_was_not_taken() {
        use Verdict::{Ended, HigherTier, ListComesLater, NotYetValid, QuantityTooSmall, Superseded, Taken};
        let web = [entry(100, 1, 0, None), entry(90, 10, 0, None)];
        let dealer = [
            entry(80, 1, 0, None),
            entry(75, 1, 5, None),
            entry(70, 10, 2, None),
            entry(60, 100, 3, None),
            entry(50, 1, 1, Some(20)),
            entry(40, 1, 90, None),
        ];
        let book = PriceBook::empty()
            .apply(1, &list("WEB"), GBP, &web)
            .and_then(|book| book.apply(2, &list("DEALER"), GBP, &dealer))
            .unwrap();
        let explanation = explained(&book, 10, 50);
        assert_eq!(
            verdicts(&explanation),
            [
                ("DEALER", 40, NotYetValid),
                ("DEALER", 75, HigherTier),
                ("DEALER", 60, QuantityTooSmall),
                ("DEALER", 70, Taken),
                ("DEALER", 50, Ended),
                ("DEALER", 80, Superseded),
                ("WEB", 90, ListComesLater),
                ("WEB", 100, HigherTier),
            ]
        );
        assert_eq!((explanation.book_version, explanation.left_out), (2, 0));
        assert_eq!(explanation.gross, Some(Money::new(0, GBP)), "700 millionths of a pound");
    }

    #[test]
    fn without_a_price_it_is_said_why_there_is_none() {
        let book = PriceBook::empty().apply(1, &list("WEB"), GBP, &[entry(100, 10, 0, None)]).unwrap();
        let explanation = explained(&book, 9, 50);
        assert_eq!(verdicts(&explanation), [("WEB", 100, Verdict::QuantityTooSmall)]);
        assert_eq!((explanation.taken(), explanation.gross), (None, None));
        assert_eq!(explained(&PriceBook::empty(), 9, 50).candidates, []);
    }

    #[test]
    fn of_a_long_history_the_newest_are_shown_and_what_was_taken_in_any_case() {
        let old = entry(7, 1, 0, None);
        let ended = (1..2_000).map(|second| entry(5, 1, second, Some(second + 1)));
        let entries: Vec<PriceEntry> = ended.chain([old]).collect();
        let book = PriceBook::empty().apply(1, &list("WEB"), GBP, &entries).unwrap();
        let explanation = explained(&book, 1, 5_000);
        assert_eq!(
            (explanation.candidates.len(), explanation.left_out),
            (MAX_CANDIDATES + 1, 2_000 - MAX_CANDIDATES - 1)
        );
        assert_eq!(explanation.taken().unwrap().window.unit_price.micros(), 7);
        assert_eq!(explanation.candidates[0].window.valid_from.timestamp(), 1_999);
    }

    proptest! {
        #[test]
        fn an_explanation_comes_to_the_price_that_is_charged(
            web in windows(),
            dealer in windows(),
            quantity in 1..7_i64,
            second in 0..60_i64,
        ) {
            let book = PriceBook::empty()
                .apply(1, &list("WEB"), GBP, &web)
                .and_then(|book| book.apply(2, &list("DEALER"), GBP, &dealer))
                .unwrap();
            let explanation = explained(&book, quantity, second);
            let (web_list, dealer_list) = (list("WEB"), list("DEALER"));
            let at = DateTime::from_timestamp(second, 0).unwrap();
            let context =
                Context { channel_list: &web_list, partner_list: Some(&dealer_list), currency: GBP, at };
            let quantity = Quantity::try_new(quantity).unwrap();
            let lines = [Line { sku: "A".parse().unwrap(), quantity, price_override: None }];
            let charged = evaluate(&book, &context, &Basket { lines: &lines, ..Basket::default() }).ok();
            let charged = charged.map(|evaluated| evaluated.lines[0].clone());

            let is_taken = |candidate: &&Candidate| candidate.verdict == Verdict::Taken;
            prop_assert_eq!(explanation.candidates.iter().filter(is_taken).count(), usize::from(charged.is_some()));
            prop_assert_eq!(explanation.candidates.len(), web.len() + dealer.len());
            prop_assert_eq!(explanation.gross, charged.as_ref().map(|line| line.gross));
            let taken = explanation.taken().map(|found| (&found.price_list_id, found.window.unit_price));
            let line = charged.as_ref().map(|line| (line.price_list_id.as_ref().unwrap(), line.unit_price));
            prop_assert_eq!(taken, line);
        }
    }

    /// Entries of A, each (tier, start) once.
    fn windows() -> impl Strategy<Value = Vec<PriceEntry>> {
        let one = ((1..5_i64, 0..30_i64), (1..1_000_i64, prop::option::of(1..20_i64)));
        prop::collection::btree_map(one.0, one.1, 0..8).prop_map(|entries| {
            let made = |((tier, from), (micros, length)): ((i64, i64), (i64, Option<i64>))| {
                entry(micros * 10_000, tier, from, length.map(|length| from + length))
            };
            entries.into_iter().map(made).collect()
        })
    }
}
