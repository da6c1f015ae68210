//! `partners.partner.changed.v1`: which price list a partner has.

use futures::future::BoxFuture;
use oneshelf_kit::consumer::{Event, HandlerError, Subscription};
use oneshelf_proto::partners::v1::{self as proto, PartnerState as State};
use oneshelf_values::TextError;
use sqlx::PgConnection;

use crate::{
    domain::partner::{Partner, PartnerState},
    usecases::record_partners,
};

pub const PARTNER_CHANGED: Subscription =
    Subscription::new("catalog.partner_changed", &["partners.partner.changed.v1"]);

pub fn partner_changed<'a>(conn: &'a mut PgConnection, events: &'a [Event]) -> BoxFuture<'a, Result<(), HandlerError>> {
    Box::pin(async move {
        let records = events.iter().map(partner).collect::<Result<_, _>>()?;
        record_partners(conn, records).await.map_err(HandlerError::retry)
    })
}

#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("the event carries no partner")]
    NoPartner,
    #[error("the partner's state is not known")]
    State,
    #[error("a code of the partner is malformed")]
    Code(#[from] TextError),
}

fn partner(event: &Event) -> Result<Partner, HandlerError> {
    let message: proto::PartnerChanged = event.decode()?;
    parse(message, event.aggregate_version).map_err(HandlerError::park)
}

fn parse(message: proto::PartnerChanged, version: i64) -> Result<Partner, Malformed> {
    let record = message.partner.ok_or(Malformed::NoPartner)?;
    let state = match record.state() {
        State::Active => PartnerState::Active,
        State::Suspended => PartnerState::Suspended,
        State::Unspecified => return Err(Malformed::State),
    };
    let price_list = match record.price_list_id.as_str() {
        "" => None,
        list => Some(list.parse()?),
    };
    Ok(Partner { partner_id: record.partner_id.parse()?, price_list, state, version })
}
