//! Rule 9: which earlier sale a return takes back.
//!
//! Last in, first out over the sale lines of the same customer, SKU and unit price; a return line may be spread over
//! several sale lines, and what finds no sale goes back without an order.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    classify::Kind,
    dataset::{CustomerNo, Dataset, DocNo, SkuNo},
};

/// Units of a return line that are known to come from one line of an earlier document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tie {
    pub doc: DocNo,
    /// Index into the document's lines.
    pub line: usize,
    pub quantity: i64,
}

/// The ties of all return lines that have any, by (document, index of the line).
pub type Ties = HashMap<(DocNo, usize), Vec<Tie>>;

/// How well a return line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    Full,
    Partial,
    None,
    NoCustomer,
}

impl Match {
    pub const ALL: [Self; 4] = [Self::Full, Self::Partial, Self::None, Self::NoCustomer];

    pub fn of(has_customer: bool, units: i64, tied: i64) -> Self {
        match tied {
            _ if !has_customer => Self::NoCustomer,
            0 => Self::None,
            tied if tied == units => Self::Full,
            _ => Self::Partial,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
            Self::NoCustomer => "no_customer",
        }
    }
}

pub fn tie_returns(data: &Dataset) -> Ties {
    // What is left to take back of each sale line, the newest at the end.
    let mut sold: HashMap<(CustomerNo, SkuNo, i64), Vec<Tie>> = HashMap::new();
    let mut ties = Ties::new();
    for at in data.lines_in_order() {
        let (document, line) = data.line(at);
        let Some(customer) = document.customer else { continue };
        let key = (customer, line.sku, line.micros);
        match line.kind {
            Kind::Sale => {
                sold.entry(key).or_default().push(Tie { doc: at.0, line: at.1, quantity: line.quantity });
            }
            Kind::Return => {
                let Some(stack) = sold.get_mut(&key) else { continue };
                let mut wanted = -line.quantity;
                while wanted > 0
                    && let Some(newest) = stack.last_mut()
                {
                    let taken = wanted.min(newest.quantity);
                    ties.entry(at).or_default().push(Tie { quantity: taken, ..*newest });
                    wanted -= taken;
                    newest.quantity -= taken;
                    if newest.quantity == 0 {
                        stack.pop();
                    }
                }
            }
            Kind::Free | Kind::Adjust | Kind::Service | Kind::BadDebt => {}
        }
    }
    ties
}
