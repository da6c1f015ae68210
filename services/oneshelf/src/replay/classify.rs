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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::dataset::Dataset;

    const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    /// Kinds of the lines of all documents, and the first document's channel and place.
    fn judged(rows: &[&str]) -> (Vec<Kind>, Option<SalesChannel>, &'static str) {
        let data = Dataset::of(&format!("{HEADER}{}\n", rows.join("\n")));
        let kinds = data.documents.iter().flat_map(|document| &document.lines).map(|line| line.kind).collect();
        (kinds, data.documents[0].channel, data.documents[0].place.code())
    }

    #[test]
    fn a_line_is_of_the_first_kind_that_fits() {
        const UK: &str = "United Kingdom";
        for (row, kind) in [
            ("A1,B,,1,2011-01-04 9:00,11062.06,,", Kind::BadDebt),
            ("1,post,,1,2011-01-04 9:00,18,1,", Kind::Service),
            ("C1,gift_0001_10,,-1,2011-01-04 9:00,8.33,1,", Kind::Service),
            ("C1,22423,,-1,2011-01-04 9:00,12.75,1,", Kind::Return),
            ("1,22423,,5,2011-01-04 9:00,0,,", Kind::Adjust),
            ("1,22423,,-5,2011-01-04 9:00,0,1,", Kind::Adjust),
            ("1,22423,,5,2011-01-04 9:00,0,1,", Kind::Free),
            ("1,22423,,5,2011-01-04 9:00,12.75,1,", Kind::Sale),
            // Not in the published year: the sign decides.
            ("1,22423,,-5,2011-01-04 9:00,12.75,1,", Kind::Return),
            ("C1,22423,,5,2011-01-04 9:00,12.75,1,", Kind::Sale),
            ("1,22423,,1,2011-01-04 9:00,-3,1,", Kind::Service),
        ] {
            assert_eq!(judged(&[&format!("{row}{UK}")]).0, [kind], "{row}");
        }
        let free = "1,22423,,5,2011-01-04 9:00,0,,United Kingdom";
        assert_eq!(judged(&[free, free]).0, [Kind::Free, Kind::Free], "not alone in its document");
    }

    #[test]
    fn a_document_belongs_to_the_first_channel_that_fits() {
        let row = |number: &str, code: &str, price: &str, customer: &str, country: &str| {
            format!("{number},{code},,1,2011-01-04 9:00,{price},{customer},{country}")
        };
        let uk = "United Kingdom";
        for (rows, channel, place) in [
            (vec![row("536366", "X", "1", "1", "France")], Some(SalesChannel::Dealer), "WH-UK"),
            (
                vec![row("536366", "X", "1", "", uk), row("536366", "DOT", "9", "", uk)],
                Some(SalesChannel::Online),
                "WH-UK",
            ),
            (vec![row("536366", "X", "9999", "", uk)], Some(SalesChannel::Shop), "SHOP-3"),
            (vec![row("536366", "X", "500", "1", uk)], Some(SalesChannel::Dealer), "WH-UK"),
            (vec![row("536366", "X", "499.99", "1", uk)], Some(SalesChannel::Online), "WH-UK"),
            (vec![row("536367", "X", "149.99", "1", uk)], Some(SalesChannel::Shop), "SHOP-4"),
            (vec![row("C536368", "POST", "900", "1", uk)], Some(SalesChannel::Shop), "SHOP-1"),
            (vec![row("536366", "X", "0", "", uk)], None, "WH-UK"),
            (vec![row("A536366", "B", "5", "", uk)], None, "WH-UK"),
        ] {
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            let (_, found, at) = judged(&rows);
            assert_eq!((found, at), (channel, place), "{rows:?}");
        }
    }
}
