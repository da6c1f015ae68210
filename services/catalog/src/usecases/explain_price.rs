//! Says why a price is what it is. In memory, from the same book and by the same lookup as a quote.

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_pricing::{Explanation, explain};
use oneshelf_values::{ChannelId, Currency, PartnerId, Quantity, Sku};

use super::{Catalog, Error, Kind, scope::check_quotes};
use crate::domain::Refusal;

/// Whose price of what is to be explained.
#[derive(Debug, Clone)]
pub struct Question {
    pub channel: ChannelId,
    pub partner: Option<PartnerId>,
    pub currency: Currency,
    pub sku: Sku,
    pub quantity: Quantity,
    /// `None`: now.
    pub price_time: Option<DateTime<Utc>>,
}

/// How that price came about.
#[derive(Debug, Clone)]
pub struct Explained {
    pub sku: Sku,
    pub price_time: DateTime<Utc>,
    pub explanation: Explanation,
}

impl Catalog {
    pub fn explain_price(&self, caller: &Caller, question: Question) -> Result<Explained, Error> {
        let Question { channel, partner, currency, sku, quantity, price_time } = question;
        check_quotes(caller, &channel, partner.as_ref())?;
        let now = self.clock.now();
        let price_time = self.price_time(caller, price_time, now)?;
        if !self.board.knows_sku(&sku) {
            return Err(Error::NotFound { kind: Kind::Variant, id: sku.to_string() });
        }
        let lists = self.board.quote_lists(&channel, partner.as_ref(), currency)?;
        let context = lists.context(currency, price_time);
        let explanation = explain(&self.board.book(now), &context, &sku, quantity).map_err(Refusal::Pricing)?;
        Ok(Explained { sku, price_time, explanation })
    }
}
