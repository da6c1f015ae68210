//! Requests into commands, with everything that is wrong told at once; domain values into answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::channels::v1 as pb;
use oneshelf_values::{ChannelId, LocationId, RequestId, Sku};
use tonic::Status;

use crate::{
    domain::{
        acknowledgement::MAX_VERSIONS,
        channel::{ChannelKind, ChannelUpdate, MAX_LOCATIONS},
        listing::{Lag, Listing},
    },
    events::{channel_message, timestamp},
    usecases::{
        create_channel::NewChannel,
        read::{PageAsked, PageFound},
        subscribe::Page,
    },
};

const BAD_REQUEST_WITHOUT_VIOLATION: &str = "the request is malformed";

/// The command, if nothing was wrong with any of its parts.
fn finish<T>(violations: Violations, command: Option<T>) -> Result<T, Status> {
    violations.into_result()?;
    command.ok_or_else(|| Status::invalid_argument(BAD_REQUEST_WITHOUT_VIOLATION))
}

/// The same content in another spelling of the request id is the same request.
fn key<M: prost::Message>(
    violations: &mut Violations,
    rpc: &'static str,
    request_id: &str,
    request: &M,
) -> Option<Key> {
    let id: RequestId = violations.check("request_id", request_id.parse())?;
    Some(Key::of(rpc, id.as_uuid(), request))
}

pub fn create_channel(mut request: pb::CreateChannelRequest) -> Result<(Key, NewChannel), Status> {
    let mut v = Violations::new();
    let request_id = std::mem::take(&mut request.request_id);
    let key = key(&mut v, "CreateChannel", &request_id, &request);
    let new = v.require("channel", request.channel).and_then(|channel| {
        let channel_id = v.check("channel.channel_id", channel.channel_id.parse());
        let kind = kind(&mut v, channel.kind);
        let title = v.check("channel.title", channel.title.parse());
        let currency = v.check("channel.currency_code", channel.currency_code.parse());
        let location_ids = locations(&mut v, &channel.location_ids);
        Some(NewChannel {
            channel_id: channel_id?,
            kind: kind?,
            title: title?,
            currency: currency?,
            location_ids: location_ids?,
        })
    });
    finish(v, key.zip(new))
}

pub fn update_channel(mut request: pb::UpdateChannelRequest) -> Result<(Key, ChannelUpdate), Status> {
    let mut v = Violations::new();
    let request_id = std::mem::take(&mut request.request_id);
    let key = key(&mut v, "UpdateChannel", &request_id, &request);
    if request.expected_version < 0 {
        v.add("expected_version", "must not be negative");
    }
    let update = v.require("channel", request.channel).and_then(|channel| {
        let channel_id = v.check("channel.channel_id", channel.channel_id.parse());
        let title = v.check("channel.title", channel.title.parse());
        let location_ids = locations(&mut v, &channel.location_ids);
        Some(ChannelUpdate {
            channel_id: channel_id?,
            title: title?,
            location_ids: location_ids?,
            expected_version: (request.expected_version != 0).then_some(request.expected_version),
        })
    });
    finish(v, key.zip(update))
}

fn kind(v: &mut Violations, kind: i32) -> Option<ChannelKind> {
    match pb::ChannelKind::try_from(kind) {
        Ok(pb::ChannelKind::Web) => Some(ChannelKind::Web),
        Ok(pb::ChannelKind::Marketplace) => Some(ChannelKind::Marketplace),
        Ok(pb::ChannelKind::Dealer) => Some(ChannelKind::Dealer),
        Ok(pb::ChannelKind::Store) => Some(ChannelKind::Store),
        Ok(pb::ChannelKind::Unspecified) => {
            v.add("channel.kind", "is required");
            None
        }
        Err(_) => {
            v.add("channel.kind", "is not a known kind");
            None
        }
    }
}

fn locations(v: &mut Violations, texts: &[String]) -> Option<BTreeSet<LocationId>> {
    if texts.is_empty() || texts.len() > MAX_LOCATIONS {
        v.add("channel.location_ids", format!("must have 1 to {MAX_LOCATIONS} entries"));
        return None;
    }
    let mut location_ids = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        let field = format!("channel.location_ids[{index}]");
        if let Some(location_id) = v.check(field.as_str(), text.parse())
            && !location_ids.insert(location_id)
        {
            v.add(field, "must not repeat an earlier one");
        }
    }
    Some(location_ids)
}

pub fn channel_id(text: &str) -> Result<ChannelId, Status> {
    let mut v = Violations::new();
    let channel_id = v.check("channel_id", text.parse());
    finish(v, channel_id)
}

pub fn acknowledge(mut request: pb::AcknowledgeRequest) -> Result<(Key, ChannelId, BTreeMap<Sku, i64>), Status> {
    let mut v = Violations::new();
    let request_id = std::mem::take(&mut request.request_id);
    let key = key(&mut v, "Acknowledge", &request_id, &request);
    let channel_id = v.check("channel_id", request.channel_id.parse());
    if request.versions.is_empty() || request.versions.len() > MAX_VERSIONS {
        v.add("versions", format!("must have 1 to {MAX_VERSIONS} entries"));
    }
    let mut versions = BTreeMap::new();
    for (index, shown) in request.versions.iter().take(MAX_VERSIONS).enumerate() {
        if shown.version < 1 {
            v.add(format!("versions[{index}].version"), "must be at least 1");
        }
        if let Some(sku) = v.check(format!("versions[{index}].sku"), shown.sku.parse::<Sku>()) {
            let largest = versions.entry(sku).or_insert(shown.version);
            *largest = shown.version.max(*largest);
        }
    }
    let command = key.zip(channel_id).map(|(key, channel_id)| (key, channel_id, versions));
    finish(v, command)
}

pub fn list_channels(request: &pb::ListChannelsRequest) -> Result<PageAsked, Status> {
    let mut v = Violations::new();
    let page = page(&mut v, request.page_size, &request.page_token, 100, 1_000);
    finish(v, page)
}

pub fn list_listings(request: &pb::ListListingsRequest) -> Result<(ChannelId, PageAsked), Status> {
    let mut v = Violations::new();
    let channel_id = v.check("channel_id", request.channel_id.parse());
    let page = page(&mut v, request.page_size, &request.page_token, 500, 5_000);
    finish(v, channel_id.zip(page))
}

/// A page token is the key of the last item of the page before, marked so that it is not taken for one.
const TOKEN_PREFIX: &str = "p1.";

fn page(v: &mut Violations, size: i32, token: &str, default: usize, most: usize) -> Option<PageAsked> {
    let size = match usize::try_from(size) {
        Ok(0) => Some(default),
        Ok(size) if size <= most => Some(size),
        _ => {
            v.add("page_size", format!("must be 0 to {most}"));
            None
        }
    };
    let after = match token.strip_prefix(TOKEN_PREFIX) {
        // The key went out as a SKU or an id, and comes back as one.
        Some(key) if key.parse::<Sku>().is_ok_and(|parsed| parsed.as_str() == key) => Some(key.to_owned()),
        None if token.is_empty() => Some(String::new()),
        _ => {
            v.add("page_token", "must be a next_page_token of this list");
            None
        }
    };
    Some(PageAsked { after: after?, size: size? })
}

fn next_page_token<T>(found: &PageFound<T>, key: impl Fn(&T) -> &str) -> String {
    match found.items.last() {
        Some(last) if found.more => format!("{TOKEN_PREFIX}{}", key(last)),
        _ => String::new(),
    }
}

pub fn channels_page(found: PageFound<crate::domain::channel::Channel>) -> pb::ListChannelsResponse {
    pb::ListChannelsResponse {
        next_page_token: next_page_token(&found, |channel| channel.channel_id.as_str()),
        channels: found.items.iter().map(channel_message).collect(),
    }
}

pub fn listings_page(found: PageFound<Listing>) -> pb::ListListingsResponse {
    pb::ListListingsResponse {
        next_page_token: next_page_token(&found, |listing| listing.sku.as_str()),
        listings: found.items.into_iter().map(listing).collect(),
    }
}

pub fn stream_page(page: Page) -> pb::SubscribeResponse {
    pb::SubscribeResponse {
        listings: page.listings.into_iter().map(listing).collect(),
        cursor: page.cursor.to_string(),
        snapshot: page.snapshot,
    }
}

fn listing(listing: Listing) -> pb::Listing {
    pb::Listing {
        sku: listing.sku.into(),
        version: listing.version,
        available: listing.available,
        unit_price: listing.unit_price.map(|price| oneshelf_proto::r#type::v1::UnitPrice {
            micros: price.micros(),
            currency_code: price.currency().code().to_owned(),
        }),
        source_time: Some(timestamp(listing.source_at)),
        acknowledged_version: listing.acknowledged_version,
    }
}

pub fn lag(lag: Lag) -> pb::GetChannelLagResponse {
    pb::GetChannelLagResponse {
        pending: lag.pending,
        oldest_pending_age: Some(duration(lag.oldest_pending_age)),
        acknowledged: lag.acknowledged,
        delay_p50: Some(duration(lag.delay_p50)),
        delay_p99: Some(duration(lag.delay_p99)),
        delay_max: Some(duration(lag.delay_max)),
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos().cast_signed(),
    }
}
