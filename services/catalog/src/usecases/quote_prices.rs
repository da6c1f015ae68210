//! Prices a basket. In memory: no database, no other service.
//!
//! | step | reads |
//! |---|---|
//! | permission and scope | the caller |
//! | which lists | the board's maps |
//! | prices, totals | the active book, by `oneshelf_pricing`, a pure function |

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_pricing::{Basket, Evaluated, Fee, Line, evaluate};
use oneshelf_values::{ChannelId, Currency, Money, PartnerId, QuoteId};

use super::{Catalog, Error, scope::check_quotes};
use crate::domain::Refusal;

const OVERRIDE: &str = "catalog:OverridePrice";
const BACKDATE: &str = "catalog:BackdateQuote";

/// What a caller wants the price of.
#[derive(Debug, Clone)]
pub struct QuoteRequest {
    pub channel: ChannelId,
    pub partner: Option<PartnerId>,
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub fees: Vec<Fee>,
    pub order_discount: Option<Money>,
    /// `None`: now.
    pub price_time: Option<DateTime<Utc>>,
}

/// What the basket costs.
#[derive(Debug, Clone)]
pub struct Quote {
    pub quote_id: QuoteId,
    pub price_time: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// In the order of `request`'s lines and fees.
    pub evaluated: Evaluated,
    pub request: QuoteRequest,
}

impl Catalog {
    pub fn quote_prices(&self, caller: &Caller, request: QuoteRequest) -> Result<Quote, Error> {
        check_quotes(caller, &request.channel, request.partner.as_ref())?;
        let overridden = request.lines.iter().any(|line| line.price_override.is_some());
        if overridden || !request.fees.is_empty() || request.order_discount.is_some() {
            caller.require(OVERRIDE)?;
        }
        let now = self.clock.now();
        let price_time = self.price_time(caller, request.price_time, now)?;
        let lists = self.board.quote_lists(&request.channel, request.partner.as_ref(), request.currency)?;
        let book = self.board.book(now);
        let context = lists.context(request.currency, price_time);
        let basket = Basket { lines: &request.lines, fees: &request.fees, order_discount: request.order_discount };
        let evaluated = evaluate(&book, &context, &basket).map_err(|refusal| self.name_unknown_sku(refusal))?;
        self.check_unlisted(&request.lines, &evaluated)?;
        Ok(Quote {
            quote_id: QuoteId::generate(&self.clock),
            price_time,
            created_at: now,
            expires_at: now + self.quote_ttl,
            evaluated,
            request,
        })
    }

    /// The instant that prices are taken at: now, or an earlier one by permission.
    pub(super) fn price_time(
        &self,
        caller: &Caller,
        asked: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Error> {
        if asked.is_some() {
            caller.require(BACKDATE)?;
        }
        if !self.is_loaded() {
            return Err(Error::NotLoaded);
        }
        let price_time = asked.unwrap_or(now);
        if price_time > now { Err(Refusal::PriceTimeAhead.into()) } else { Ok(price_time) }
    }

    /// Whoever overrides the price of a SKU without one may still have mistyped the SKU.
    fn check_unlisted(&self, lines: &[Line], evaluated: &Evaluated) -> Result<(), Refusal> {
        for (index, (line, priced)) in lines.iter().zip(&evaluated.lines).enumerate() {
            if priced.list_unit_price.is_none() && !self.board.knows_sku(&line.sku) {
                return Err(Refusal::UnknownVariant { sku: line.sku.clone(), line: index });
            }
        }
        Ok(())
    }

    fn name_unknown_sku(&self, refusal: oneshelf_pricing::Refusal) -> Refusal {
        match refusal {
            oneshelf_pricing::Refusal::PriceNotFound { line, sku } if !self.board.knows_sku(&sku) => {
                Refusal::UnknownVariant { sku, line }
            }
            refusal => Refusal::Pricing(refusal),
        }
    }
}
