//! Documents as requests.
//!
//! | lines of a document | become |
//! |---|---|
//! | sale, free; online and dealer | QuotePrices, PlaceOrder, ShipOrder |
//! | sale, free; shop | a ticket of RecordSales |
//! | return | ReturnItems, tied to the earlier order where rule 9 knows it |
//! | service | fees of the same order, ticket or return |
//! | bad_debt | fees of a ticket of the office |
//! | adjust | AdjustStock |

use chrono::{DateTime, Utc};
use oneshelf_proto::{
    catalog::v1::{QuoteFee, QuoteLine, QuotePricesRequest, SignedQuote},
    inventory::v1::{AdjustStockRequest, AdjustmentLine, AdjustmentReason, ReceiveStockRequest, StockLine},
    orders::v1::{FeeItem, PlaceOrderRequest, ReturnItem, ReturnItemsRequest, ShipOrderRequest, Ticket, TicketLine},
    r#type::v1::UnitPrice,
};
use prost_types::Timestamp;

use super::{
    classify::{Kind, Place, SalesChannel},
    dataset::{Dataset, DocNo, Document, Line, Month, SkuNo},
    ids::{self, Ids},
    matching::{Ties, tie_returns},
    prices::PriceVersions,
    receipts::Receipts,
};

pub const CURRENCY: &str = "GBP";
/// The channel, and the till, of corrections that no customer sees.
pub const OFFICE: &str = "OFFICE";

/// The year with all that its rules say about it.
pub struct Year {
    pub data: Dataset,
    pub prices: PriceVersions,
    pub receipts: Receipts,
    pub ties: Ties,
    pub ids: Ids,
}

/// The lines of a document by what becomes of them, as indexes.
#[derive(Debug, Default)]
pub struct Parts {
    pub goods: Vec<usize>,
    pub returns: Vec<usize>,
    pub fees: Vec<usize>,
    pub debts: Vec<usize>,
    pub found: Vec<usize>,
    pub written_off: Vec<usize>,
    /// Fees go with the goods that come back, not with goods sold.
    pub fees_go_back: bool,
}

impl Parts {
    pub fn of(document: &Document) -> Self {
        let mut parts = Self::default();
        for (at, line) in document.lines.iter().enumerate() {
            match line.kind {
                Kind::Sale | Kind::Free => parts.goods.push(at),
                Kind::Return => parts.returns.push(at),
                Kind::Service => parts.fees.push(at),
                Kind::BadDebt => parts.debts.push(at),
                Kind::Adjust if line.quantity > 0 => parts.found.push(at),
                Kind::Adjust => parts.written_off.push(at),
            }
        }
        let credit_note = document.number.starts_with('C');
        parts.fees_go_back = parts.goods.is_empty() && (credit_note || !parts.returns.is_empty());
        parts
    }

    /// Whether there is an order or a ticket.
    pub fn sells(&self) -> bool {
        !self.goods.is_empty() || !self.fees.is_empty() && !self.fees_go_back
    }

    /// Whether there is a return.
    pub fn takes_back(&self) -> bool {
        !self.returns.is_empty() || !self.fees.is_empty() && self.fees_go_back
    }

    fn fees_of_sale(&self) -> &[usize] {
        if self.fees_go_back { &[] } else { &self.fees }
    }

    fn fees_of_return(&self) -> &[usize] {
        if self.fees_go_back { &self.fees } else { &[] }
    }
}

impl Year {
    pub fn new(data: Dataset, receipts: Receipts) -> Self {
        let (prices, ties, ids) = (PriceVersions::of(&data), tie_returns(&data), Ids::new(data.fingerprint));
        Self { data, prices, receipts, ties, ids }
    }

    pub fn document(&self, doc: DocNo) -> &Document {
        &self.data.documents[doc as usize]
    }

    fn sku(&self, sku: SkuNo) -> String {
        self.data.skus[sku as usize].code.to_string()
    }

    fn member(&self, document: &Document) -> String {
        document.customer.map(|customer| ids::member(&self.data.customers[customer as usize])).unwrap_or_default()
    }

    fn partner(&self, document: &Document) -> String {
        if document.channel != Some(SalesChannel::Dealer) {
            return String::new();
        }
        ids::partner(document.customer.map(|customer| &*self.data.customers[customer as usize]))
    }

    /// The list price that a line is held against.
    fn list_price(&self, document: &Document, line: &Line) -> Option<i64> {
        self.prices.at(document.channel?, line.sku, document.time)
    }

    pub fn quote(&self, document: &Document, channel: SalesChannel, parts: &Parts) -> QuotePricesRequest {
        let line = |at: &usize| {
            let line = &document.lines[*at];
            let reason = self.override_reason(document, line);
            QuoteLine {
                sku: self.sku(line.sku),
                quantity: line.quantity,
                override_unit_price: reason.map(|_| unit_price(line.micros)),
                override_reason: reason.unwrap_or_default().to_owned(),
            }
        };
        let fee = |at: &usize| {
            let FeeItem { code, description, quantity, unit_price } = self.fee(&document.lines[*at]);
            QuoteFee { code, description, quantity, unit_price }
        };
        QuotePricesRequest {
            channel_id: channel.code().to_owned(),
            partner_id: self.partner(document),
            currency_code: CURRENCY.to_owned(),
            lines: parts.goods.iter().map(line).collect(),
            fees: parts.fees_of_sale().iter().map(fee).collect(),
            order_discount: None,
            price_time: Some(timestamp(document.time)),
        }
    }

    /// Why a line is not charged at its list price, if it is not.
    fn override_reason(&self, document: &Document, line: &Line) -> Option<&'static str> {
        match line.kind {
            Kind::Free => Some("FREE_GOODS"),
            _ => (self.list_price(document, line) != Some(line.micros)).then_some("REPLAY_PRICE"),
        }
    }

    pub fn order_id(&self, document: &Document) -> String {
        self.ids.of_document(document, "order")
    }

    pub fn place(&self, document: &Document, quote: SignedQuote) -> PlaceOrderRequest {
        PlaceOrderRequest {
            request_id: self.order_id(document),
            signed_quote: Some(quote),
            location_id: document.place.code().to_owned(),
            member_id: self.member(document),
            reference: reference(document),
            effective_time: Some(timestamp(document.time)),
        }
    }

    pub fn ship(&self, document: &Document) -> ShipOrderRequest {
        ShipOrderRequest {
            request_id: self.ids.of_document(document, "ship"),
            order_id: self.order_id(document),
            lines: Vec::new(),
            tracking_number: String::new(),
            effective_time: Some(timestamp(document.time)),
        }
    }

    pub fn ticket(&self, document: &Document, channel: SalesChannel, parts: &Parts) -> Ticket {
        let line = |at: &usize| {
            let line = &document.lines[*at];
            TicketLine {
                sku: self.sku(line.sku),
                quantity: line.quantity,
                unit_price: Some(unit_price(line.micros)),
                list_unit_price: self.list_price(document, line).map(unit_price),
                override_reason: self.override_reason(document, line).unwrap_or_default().to_owned(),
            }
        };
        Ticket {
            device_id: document.place.till().to_owned(),
            ticket_no: reference(document),
            channel_id: channel.code().to_owned(),
            location_id: document.place.code().to_owned(),
            member_id: self.member(document),
            currency_code: CURRENCY.to_owned(),
            lines: parts.goods.iter().map(line).collect(),
            fees: parts.fees_of_sale().iter().map(|at| self.fee(&document.lines[*at])).collect(),
            sale_time: Some(timestamp(document.time)),
        }
    }

    pub fn debt_ticket(&self, document: &Document, parts: &Parts) -> Ticket {
        Ticket {
            device_id: OFFICE.to_owned(),
            ticket_no: reference(document),
            channel_id: OFFICE.to_owned(),
            location_id: Place::WAREHOUSE.code().to_owned(),
            member_id: self.member(document),
            currency_code: CURRENCY.to_owned(),
            lines: Vec::new(),
            fees: parts.debts.iter().map(|at| self.fee(&document.lines[*at])).collect(),
            sale_time: Some(timestamp(document.time)),
        }
    }
}

/// A return, and which line of the document each of its items comes from.
pub struct TakeBack {
    pub request: ReturnItemsRequest,
    pub sources: Vec<usize>,
}

impl Year {
    /// `order_of` names the order that a document was kept under.
    pub fn take_back(
        &self,
        doc: DocNo,
        parts: &Parts,
        mut order_of: impl FnMut(DocNo) -> anyhow::Result<String>,
    ) -> anyhow::Result<TakeBack> {
        let document = self.document(doc);
        let (mut items, mut sources) = (Vec::new(), Vec::new());
        for at in &parts.returns {
            let line = &document.lines[*at];
            let sku = self.sku(line.sku);
            let mut loose = -line.quantity;
            for tie in self.ties.get(&(doc, *at)).map_or(&[][..], Vec::as_slice) {
                loose -= tie.quantity;
                sources.push(*at);
                items.push(ReturnItem {
                    order_id: order_of(tie.doc)?,
                    order_line_no: self.order_line_no(tie.doc, tie.line),
                    sku: sku.clone(),
                    quantity: tie.quantity,
                    unit_price: None,
                });
            }
            if loose > 0 {
                sources.push(*at);
                let price = Some(unit_price(line.micros));
                items.push(ReturnItem { sku, quantity: loose, unit_price: price, ..ReturnItem::default() });
            }
        }
        let request = ReturnItemsRequest {
            request_id: self.ids.of_document(document, "return"),
            channel_id: document.channel.map_or(OFFICE, SalesChannel::code).to_owned(),
            location_id: document.place.code().to_owned(),
            partner_id: self.partner(document),
            member_id: self.member(document),
            items,
            fees: parts.fees_of_return().iter().map(|at| self.fee(&document.lines[*at])).collect(),
            currency_code: CURRENCY.to_owned(),
            reference: reference(document),
            effective_time: Some(timestamp(document.time)),
        };
        Ok(TakeBack { request, sources })
    }

    /// The number that a document's line has in its order or ticket, which holds the goods only.
    fn order_line_no(&self, doc: DocNo, line: usize) -> i32 {
        let before = &self.document(doc).lines[..line];
        1 + before.iter().filter(|line| matches!(line.kind, Kind::Sale | Kind::Free)).count() as i32
    }

    /// Adjustments of one reason; `lines` are all of one sign.
    pub fn adjust(&self, document: &Document, lines: &[usize], reason: AdjustmentReason) -> AdjustStockRequest {
        AdjustStockRequest {
            request_id: self.ids.of_document(document, reason.as_str_name()),
            location_id: Place::WAREHOUSE.code().to_owned(),
            lines: lines
                .iter()
                .map(|at| &document.lines[*at])
                .map(|line| AdjustmentLine { sku: self.sku(line.sku), delta: line.quantity, ..Default::default() })
                .collect(),
            reason: reason.into(),
            reference: reference(document),
            effective_time: Some(timestamp(document.time)),
        }
    }

    pub fn receive(&self, month: Month, place: Place, lines: &[(SkuNo, i64)]) -> ReceiveStockRequest {
        let first = lines.first().map_or(String::new(), |(sku, _)| self.sku(*sku));
        ReceiveStockRequest {
            request_id: self.ids.of(&format!("receipt/{month}/{}/{first}", place.code())),
            location_id: place.code().to_owned(),
            lines: lines
                .iter()
                .map(|(sku, quantity)| StockLine { sku: self.sku(*sku), quantity: *quantity, ..Default::default() })
                .collect(),
            reference: format!("goods-in {month}"),
            effective_time: Some(timestamp(month.start())),
        }
    }

    fn fee(&self, line: &Line) -> FeeItem {
        FeeItem {
            code: self.sku(line.sku).chars().take(32).collect(),
            description: printable(line.description.as_deref().unwrap_or_default(), 200),
            quantity: line.quantity,
            unit_price: Some(unit_price(line.micros)),
        }
    }
}

pub fn unit_price(micros: i64) -> UnitPrice {
    UnitPrice { micros, currency_code: CURRENCY.to_owned() }
}

pub fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: 0 }
}

/// A clerk's text without what no field takes.
pub fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect::<String>().trim().to_owned()
}

/// The caller's own number of a document.
pub fn reference(document: &Document) -> String {
    printable(&document.number, 50)
}
