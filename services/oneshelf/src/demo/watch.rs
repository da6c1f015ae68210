//! A channel's connector as its owner would write it: subscribes, shows what it gets, acknowledges it, resumes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use oneshelf_proto::channels::v1 as pb;
use oneshelf_values::{Clock, new_id};
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// Acknowledgements per call.
const ACKNOWLEDGE: usize = 1_000;

/// What a channel showed since the last look.
#[derive(Default)]
pub struct Shown {
    pub stock: AtomicU64,
    pub price: AtomicU64,
}

/// What the channel shows of each SKU: units and micros.
type Picture = HashMap<String, (i64, Option<i64>)>;

/// Follows a channel until stopped; a broken stream is resumed from its cursor.
pub async fn follow(api: Api, clock: Clock, channel_id: &'static str, shown: Arc<Shown>, stop: CancellationToken) {
    let picture = Mutex::new(Picture::new());
    let mut cursor = String::new();
    while !stop.is_cancelled() {
        let session = session(&api, &clock, channel_id, &mut cursor, &picture, &shown);
        tokio::select! {
            () = stop.cancelled() => return,
            ended = session => if let Err(status) = ended {
                tracing::debug!(channel_id, %status, "subscription ended, resuming");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

async fn session(
    api: &Api,
    clock: &Clock,
    channel_id: &str,
    cursor: &mut String,
    picture: &Mutex<Picture>,
    shown: &Shown,
) -> Result<(), tonic::Status> {
    let mut client = api.channels.clone();
    let request = pb::SubscribeRequest { channel_id: channel_id.to_owned(), cursor: cursor.clone() };
    let mut stream = client.subscribe(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if let Ok(mut picture) = picture.lock() {
            for listing in &message.listings {
                let now = (listing.available, listing.unit_price.as_ref().map(|price| price.micros));
                let before = picture.insert(listing.sku.clone(), now).unwrap_or_default();
                shown.stock.fetch_add(u64::from(before.0 != now.0), Ordering::Relaxed);
                shown.price.fetch_add(u64::from(before.1 != now.1), Ordering::Relaxed);
            }
        }
        for page in message.listings.chunks(ACKNOWLEDGE) {
            let versions = page
                .iter()
                .map(|listing| pb::AcknowledgedVersion { sku: listing.sku.clone(), version: listing.version })
                .collect();
            let request_id = new_id(clock).to_string();
            let request = pb::AcknowledgeRequest { request_id, channel_id: channel_id.to_owned(), versions };
            client.acknowledge(request).await?;
        }
        *cursor = message.cursor;
    }
    Ok(())
}
