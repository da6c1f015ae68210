//! Rules 1 to 3: what a line is, which channel a document belongs to, and where its goods move.
//!
//! The rules cover the published data set. Two cases that only other files have are settled in their spirit: a priced
//! line that takes back (a negative quantity) is a return wherever it stands, one that sells is a sale even on a
//! C document, and a negative price is money without goods.

use serde::{Deserialize, Serialize};

use super::dataset::{Document, Line, SkuInfo};

/// Rule 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Sale,
    Free,
    Return,
    Adjust,
    Service,
    BadDebt,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Sale, Self::Free, Self::Return, Self::Adjust, Self::Service, Self::BadDebt];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Free => "free",
            Self::Return => "return",
            Self::Adjust => "adjust",
            Self::Service => "service",
            Self::BadDebt => "bad_debt",
        }
    }
}

/// Rule 2. A document of only adjustments or bad debt belongs to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SalesChannel {
    Dealer,
    Online,
    Shop,
}

impl SalesChannel {
    pub const ALL: [Self; 3] = [Self::Dealer, Self::Online, Self::Shop];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dealer => "dealer",
            Self::Online => "online",
            Self::Shop => "shop",
        }
    }

    /// The channel's code in OneShelf.
    pub fn code(self) -> &'static str {
        match self {
            Self::Dealer => "DEALER",
            Self::Online => "ONLINE",
            Self::Shop => "SHOP",
        }
    }

    pub fn price_list(self) -> &'static str {
        match self {
            Self::Dealer => "DEALER-GBP",
            Self::Online => "ONLINE-GBP",
            Self::Shop => "SHOP-GBP",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text || channel.code() == text)
    }
}

/// Rule 3: the warehouse, or one of four shops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(u8);

impl Place {
    pub const WAREHOUSE: Self = Self(0);
    pub const ALL: [Self; 5] = [Self(0), Self(1), Self(2), Self(3), Self(4)];

    pub fn code(self) -> &'static str {
        ["WH-UK", "SHOP-1", "SHOP-2", "SHOP-3", "SHOP-4"][usize::from(self.0)]
    }

    /// The till of a shop.
    pub fn till(self) -> &'static str {
        ["OFFICE", "TILL-1", "TILL-2", "TILL-3", "TILL-4"][usize::from(self.0)]
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.code() == text)
    }

    fn of_shop_document(number: &str) -> Self {
        let remainder =
            number.bytes().filter(u8::is_ascii_digit).fold(0, |rest, digit| (rest * 10 + (digit - b'0')) % 4);
        Self(remainder + 1)
    }
}

const NO_GOODS: [&str; 11] = ["POST", "DOT", "C2", "M", "D", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS"];

/// Judges the lines of a whole document, and the document.
pub fn judge(document: &mut Document, country: &str, skus: &[SkuInfo]) {
    let only_line = document.lines.len() == 1;
    let no_customer = document.customer.is_none();
    let number = document.number.clone();
    for line in &mut document.lines {
        line.kind = kind(&number, line, skus[line.sku as usize].code.as_str(), only_line, no_customer);
    }
    document.channel = channel(document, country, skus);
    if document.channel == Some(SalesChannel::Shop) {
        document.place = Place::of_shop_document(&document.number);
    }
}

fn kind(number: &str, line: &Line, sku: &str, only_line: bool, no_customer: bool) -> Kind {
    if number.starts_with('A') {
        Kind::BadDebt
    } else if NO_GOODS.contains(&sku) || sku.starts_with("GIFT_") || line.micros < 0 {
        Kind::Service
    } else if number.starts_with('C') && line.quantity < 0 {
        Kind::Return
    } else if line.micros == 0 {
        if no_customer && only_line || line.quantity < 0 { Kind::Adjust } else { Kind::Free }
    } else if line.quantity < 0 {
        Kind::Return
    } else {
        Kind::Sale
    }
}

fn channel(document: &Document, country: &str, skus: &[SkuInfo]) -> Option<SalesChannel> {
    const POUND_MICROS: i128 = 1_000_000;
    if document.lines.iter().all(|line| matches!(line.kind, Kind::Adjust | Kind::BadDebt)) {
        return None;
    }
    if !country.is_empty() && country != "United Kingdom" {
        return Some(SalesChannel::Dealer);
    }
    if document.lines.iter().any(|line| skus[line.sku as usize].code.as_str() == "DOT") {
        return Some(SalesChannel::Online);
    }
    if document.customer.is_none() {
        return Some(SalesChannel::Shop);
    }
    let value: i128 = document
        .lines
        .iter()
        .filter(|line| matches!(line.kind, Kind::Sale | Kind::Return | Kind::Free))
        .map(|line| (i128::from(line.quantity) * i128::from(line.micros)).abs())
        .sum();
    Some(match value {
        value if value >= 500 * POUND_MICROS => SalesChannel::Dealer,
        value if value >= 150 * POUND_MICROS => SalesChannel::Online,
        _ => SalesChannel::Shop,
    })
}
