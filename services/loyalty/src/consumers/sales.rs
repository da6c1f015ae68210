//! Goods that were shipped, sold at a till or returned. Events without a member are passed over. An event that
//! contradicts itself or its document is parked, in sight; its neighbours are counted.

use chrono::{DateTime, Utc};
use oneshelf_kit::consumer::{Event, HandlerError};
use oneshelf_proto::orders::v1::{ItemsReturned, OrderShipped, SaleRecorded, SoldLine};
use oneshelf_values::{Currency, MemberId, OrderId, ReturnId, TextError, UnknownCurrency};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    domain::{Delivery, DocumentKind},
    usecases::{Error, count_documents},
};

/// Why an event is not one of goods.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("unexpected event type {0}")]
    Type(String),
    #[error("document id")]
    DocumentId(#[source] TextError),
    #[error("member_id")]
    MemberId(#[source] TextError),
    #[error("currency_code")]
    Currency(#[source] UnknownCurrency),
    #[error("line_no {0} is not above zero")]
    LineNo(i32),
    #[error("an amount leaves the range of integers")]
    Amount,
}

pub(crate) async fn sales(conn: &mut PgConnection, events: &[Event], now: DateTime<Utc>) -> Result<(), HandlerError> {
    let mut deliveries = Vec::with_capacity(events.len());
    for event in events {
        deliveries.extend(delivery(event)?);
    }
    count_documents(conn, &deliveries, now).await.map_err(|error| match error {
        Error::Refused(_) => HandlerError::park(error),
        error => HandlerError::retry(error),
    })
}

/// What an event reports; `None` when no member bought, or no goods moved.
fn delivery(event: &Event) -> Result<Option<Delivery>, HandlerError> {
    match event.event_type.as_str() {
        "oneshelf.orders.v1.OrderShipped" => {
            let shipped: OrderShipped = event.decode()?;
            let id = || shipped.order_id.parse().map(OrderId::into);
            goods(event, DocumentKind::Sale, id, &shipped.member_id, &shipped.currency_code, &shipped.lines)
        }
        "oneshelf.orders.v1.SaleRecorded" => {
            let sale: SaleRecorded = event.decode()?;
            let id = || sale.order_id.parse().map(OrderId::into);
            goods(event, DocumentKind::Sale, id, &sale.member_id, &sale.currency_code, &sale.lines)
        }
        "oneshelf.orders.v1.ItemsReturned" => {
            let items: ItemsReturned = event.decode()?;
            let id = || items.return_id.parse().map(ReturnId::into);
            goods(event, DocumentKind::Return, id, &items.member_id, &items.currency_code, &items.lines)
        }
        other => Err(Malformed::Type(other.to_owned())),
    }
    .map_err(HandlerError::park)
}

fn goods(
    event: &Event,
    kind: DocumentKind,
    document_id: impl FnOnce() -> Result<Uuid, TextError>,
    member_id: &str,
    currency_code: &str,
    lines: &[SoldLine],
) -> Result<Option<Delivery>, Malformed> {
    if member_id.is_empty() || lines.is_empty() {
        return Ok(None);
    }
    let member_id: MemberId = member_id.parse().map_err(Malformed::MemberId)?;
    let currency: Currency = currency_code.parse().map_err(Malformed::Currency)?;
    Ok(Some(Delivery {
        document_id: document_id().map_err(Malformed::DocumentId)?,
        member_id,
        kind,
        currency,
        // The order's version rises with each shipment, and is the same however often the event comes.
        shipment: event.aggregate_version,
        effective_at: event.effective_at,
        lines: lines.iter().map(|line| signed(kind, line)).collect::<Result<_, _>>()?,
    }))
}

fn signed(kind: DocumentKind, line: &SoldLine) -> Result<(i32, i64), Malformed> {
    if line.line_no < 1 {
        return Err(Malformed::LineNo(line.line_no));
    }
    let amount_minor = match kind {
        DocumentKind::Sale => line.amount_minor,
        DocumentKind::Return => line.amount_minor.checked_neg().ok_or(Malformed::Amount)?,
    };
    Ok((line.line_no, amount_minor))
}
