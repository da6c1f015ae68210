//! Returns of goods that partners bought on account. Returns of other customers carry no partner and are passed over.
//! A return that names an unknown partner or another currency than the account's can never be booked: it is parked,
//! in sight, and its neighbours are booked.

use chrono::{DateTime, Utc};
use oneshelf_kit::consumer::{Event, HandlerError};
use oneshelf_proto::orders::v1::ItemsReturned;
use oneshelf_values::{Currency, Money, MoneyError, PartnerId, TextError, UnknownCurrency};
use sqlx::PgConnection;

use crate::usecases::{Error, PartnerReturn, book_returns};

/// Why an event is not one of a return.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("return_id")]
    ReturnId(#[source] TextError),
    #[error("partner_id")]
    PartnerId(#[source] TextError),
    #[error("currency_code")]
    Currency(#[source] UnknownCurrency),
    #[error("the refund")]
    Refund(#[source] MoneyError),
}

pub(crate) async fn items_returned(
    conn: &mut PgConnection,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<(), HandlerError> {
    let mut returns = Vec::with_capacity(events.len());
    for event in events {
        let items: ItemsReturned = event.decode()?;
        if !items.partner_id.is_empty() {
            returns.push(partner_return(&items).map_err(HandlerError::park)?);
        }
    }
    if returns.is_empty() {
        return Ok(());
    }
    book_returns(conn, returns, now).await.map_err(|error| match error {
        Error::Refused(_) | Error::PartnerNotFound { .. } => HandlerError::park(error),
        error => HandlerError::retry(error),
    })
}

fn partner_return(items: &ItemsReturned) -> Result<PartnerReturn, Malformed> {
    let partner_id: PartnerId = items.partner_id.parse().map_err(Malformed::PartnerId)?;
    let currency: Currency = items.currency_code.parse().map_err(Malformed::Currency)?;
    let amount = |minor| Money::new(minor, currency);
    let goods = Money::sum(currency, items.lines.iter().map(|line| amount(line.amount_minor)));
    let refund = goods.and_then(|goods| goods.checked_sub(amount(items.fee_total_minor))).map_err(Malformed::Refund)?;
    Ok(PartnerReturn { return_id: items.return_id.parse().map_err(Malformed::ReturnId)?, partner_id, refund })
}
