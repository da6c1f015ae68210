//! Outward events: what other services are told about partners. Credit movements stay inside.

use chrono::{DateTime, Utc};
use oneshelf_kit::outbox::OutboxEvent;
use oneshelf_proto::{partners::v1 as pb, r#type::v1 as pb_type};
use oneshelf_values::{Clock, Money, new_id};
use prost::Message;

use crate::domain::{Partner, Standing, Tier};

const PARTNER_CHANGED: (&str, &str) = ("partners.partner.changed.v1", "oneshelf.partners.v1.PartnerChanged");

/// Every event this service publishes: routing key and message.
pub const PUBLISHED: &[(&str, &str)] = &[PARTNER_CHANGED];

/// `partners.partner.changed.v1`: the resulting record, with the partner's version.
pub(crate) fn partner_changed(partner: &Partner, clock: &Clock) -> OutboxEvent {
    OutboxEvent {
        event_id: new_id(clock),
        routing_key: PARTNER_CHANGED.0,
        event_type: PARTNER_CHANGED.1,
        aggregate_id: partner.id.as_str().to_owned(),
        aggregate_version: partner.version,
        payload: pb::PartnerChanged { partner: Some(partner_message(partner)) }.encode_to_vec(),
        effective_at: clock.now(),
    }
}

/// The partner as the contract shows it, in events and answers alike.
pub(crate) fn partner_message(partner: &Partner) -> pb::Partner {
    let tier = match partner.tier {
        Tier::Standard => pb::PartnerTier::Standard,
        Tier::Silver => pb::PartnerTier::Silver,
        Tier::Gold => pb::PartnerTier::Gold,
    };
    let state = match partner.standing {
        Standing::Active => pb::PartnerState::Active,
        Standing::Suspended { .. } => pb::PartnerState::Suspended,
    };
    pb::Partner {
        partner_id: partner.id.clone().into(),
        title: partner.title.clone(),
        tier: tier.into(),
        price_list_id: partner.price_list.clone().map(String::from).unwrap_or_default(),
        credit_limit: Some(money_message(partner.credit_limit)),
        state: state.into(),
        version: partner.version,
        create_time: Some(timestamp(partner.created_at)),
    }
}

pub(crate) fn money_message(amount: Money) -> pb_type::Money {
    pb_type::Money { minor_units: amount.minor(), currency_code: amount.currency().code().to_owned() }
}

pub(crate) fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}
