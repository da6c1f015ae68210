//! Why units move: a closed list of our own, and codes that operators add.
//!
//! A verb gives its own reason (`receipt`, `sale`); where the caller says why, it names an *assignable* code or one of
//! the operator's. The ledger holds nothing else, and `verify` looks.

use std::borrow::Cow;

/// A code as entries carry it: built-in ones cost nothing.
pub type Reason = Cow<'static, str>;

/// A reason that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    pub code: &'static str,
    pub title: &'static str,
    /// Callers may name it; the others are given by the verb itself.
    pub assignable: bool,
}

const fn given(code: &'static str, title: &'static str) -> BuiltIn {
    BuiltIn { code, title, assignable: false }
}

const fn assignable(code: &'static str, title: &'static str) -> BuiltIn {
    BuiltIn { code, title, assignable: true }
}

/// Why a bulk set found another number, unless the caller says so.
pub const DEFAULT_OF_SET: &str = "adjust_count";

/// All of them, by code.
pub const BUILT_IN: &[BuiltIn] = &[
    assignable("adjust_count", "A count found another number"),
    assignable("adjust_damaged", "Damaged beyond use"),
    assignable("adjust_found", "Found"),
    assignable("adjust_lost", "Lost"),
    assignable("adjust_write_off", "Written off"),
    assignable("condition_change", "Moved to another bucket"),
    assignable("consignment_in", "An owner's goods came to us"),
    assignable("consignment_out", "An owner's goods went back"),
    given("consignment_returned", "An owner's goods that were sold came back"),
    given("consignment_sold", "An owner's goods became ours as they were sold"),
    given("count_damaged", "A count found damage"),
    given("count_found", "A count found more"),
    given("count_lost", "A count found fewer"),
    given("count_variance", "A count found another number"),
    given("count_write_off", "A count wrote off"),
    given("inbound_quarantined", "Delivered, and set apart"),
    given("inbound_received", "Delivered on an order or notice"),
    assignable("opening_balance", "What was there when the books were opened"),
    assignable("production_input", "Used up in production"),
    assignable("production_output", "Made"),
    given("receipt", "Received from a supplier"),
    given("return", "Returned by a customer"),
    given("sale", "A hold was committed: sold and shipped"),
    assignable("supplier_return", "Returned to a supplier"),
    given("till_sale", "Sold at a till"),
    given("transfer_lost", "Lost on the way between locations"),
    given("transfer_received", "Came from another location"),
    given("transfer_shipped", "Sent to another location"),
    given("transfer_surplus", "Came from another location unannounced"),
    given("transfer_surplus_settled", "Taken from the sender's books for a surplus"),
    given("transfer_turned_back", "Came back from the way"),
];

pub fn built_in(code: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.binary_search_by(|known| known.code.cmp(code)).ok().map(|place| &BUILT_IN[place])
}

/// Whether the text can be a code: 1 to 40 of `a-z 0-9 _`, beginning with a letter.
pub fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_code_is_found() {
        assert!(BUILT_IN.is_sorted_by(|a, b| a.code < b.code));
        for known in BUILT_IN {
            assert!(is_code(known.code));
            assert_eq!(built_in(known.code), Some(known));
        }
        assert_eq!(built_in("because"), None);
        assert!(built_in(DEFAULT_OF_SET).is_some_and(|default| default.assignable));
    }

    #[test]
    fn a_code_is_short_plain_and_lower_case() {
        for good in ["a", "shrinkage_2026", &"x".repeat(40)] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", "A", "1st", "_a", "a-b", "ä", "a b", &"x".repeat(41)] {
            assert!(!is_code(bad), "{bad}");
        }
    }
}
