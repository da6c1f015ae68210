//! What channels are told of SKUs.

use std::collections::HashSet;

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, Sku};
use tonic::Status;

use super::{
    complete,
    policies::{audit_message, once, version},
    quantity,
    records::band_message,
    request_id, sku,
};
use crate::domain::{
    group::{Line, ThresholdLine},
    threshold::{Threshold, ThresholdTerms},
};

/// Thresholds that one request sets: every level of each SKU is locked.
const MAX_THRESHOLDS: usize = 50;

pub fn stock_thresholds(request: &proto::SetStockThresholdsRequest) -> Result<(Key, Vec<ThresholdLine>), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let fits = (1..=MAX_THRESHOLDS).contains(&request.lines.len());
    if !fits {
        violations.add("lines", format!("must have 1 to {MAX_THRESHOLDS} entries"));
    }
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(MAX_THRESHOLDS)
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let threshold = violations.require(at("threshold"), line.threshold.as_ref())?;
            let sku = sku(&mut violations, at("threshold.sku"), &threshold.sku);
            let channel = violations.check(at("threshold.channel_id"), threshold.channel_id.parse::<ChannelId>());
            let low_threshold = quantity(&mut violations, at("threshold.low_threshold"), threshold.low_threshold, 0);
            let key = sku.zip(channel)?;
            if fits {
                once(&mut violations, &mut seen, at("threshold"), key.clone());
            }
            let terms = ThresholdTerms { low_threshold: low_threshold?, ended: threshold.ended };
            Some(Line { key, terms, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetStockThresholds", id, request), lines)))
}

/// Which thresholds a caller lists.
pub struct ThresholdsPage {
    pub sku: Option<Sku>,
    pub channel: Option<ChannelId>,
    pub after: Option<(Sku, ChannelId)>,
}

pub fn thresholds_page(request: &proto::ListStockThresholdsRequest) -> Result<ThresholdsPage, Status> {
    let mut violations = Violations::new();
    let named = |text: &str| !text.is_empty();
    let sku = named(&request.sku).then(|| sku(&mut violations, "sku".to_owned(), &request.sku)).flatten();
    let channel = named(&request.channel_id)
        .then(|| violations.check("channel_id", request.channel_id.parse::<ChannelId>()))
        .flatten();
    let after = named(&request.page_token).then(|| {
        let parts = request.page_token.split_once('\t');
        let place = parts.and_then(|(sku, channel)| Some((sku.parse().ok()?, channel.parse().ok()?)));
        violations.check("page_token", place.ok_or("is not a token of this list"))
    });
    complete(violations, Some(ThresholdsPage { sku, channel, after: after.flatten() }))
}

pub fn threshold_token(last: &Threshold) -> String {
    format!("{}\t{}", last.sku, last.channel)
}

pub fn threshold_message(threshold: &Threshold) -> proto::StockThreshold {
    proto::StockThreshold {
        sku: threshold.sku.to_string(),
        channel_id: threshold.channel.to_string(),
        low_threshold: threshold.terms.low_threshold,
        ended: threshold.terms.ended,
        available: threshold.available,
        band: band_message(threshold.band).into(),
        crossings: threshold.crossings,
        audit: Some(audit_message(&threshold.audit)),
    }
}
