//! Policies and ring-fences.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{ChannelId, PartnerId};
use tonic::Status;

use super::{bad_token, complete, entries, instant, line_count, location, page_token, quantity, request_id, sku};
use crate::{
    domain::{
        group::{Line, Policies, PolicyChange},
        policy::{Audit, FenceOwner, FenceTerms, RingFence, SkuPolicy, SkuTerms, StockPolicy, StockTerms},
        stock_level::LevelKey,
    },
    time::timestamp,
};

/// Channels that one policy names in a list.
const MAX_CHANNELS: usize = 50;

/// SKUs whose policies one request sets: every level of each is locked.
const MAX_SKUS: usize = 50;

pub fn stock_policies(request: &proto::SetStockPoliciesRequest) -> Result<(Key, PolicyChange), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let count = line_count(&mut violations, "lines", request.lines.len());
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let policy = violations.require(at("policy"), line.policy.as_ref())?;
            let sku = sku(&mut violations, at("policy.sku"), &policy.sku);
            let location = location(&mut violations, at("policy.location_id"), &policy.location_id);
            let safety_stock = quantity(&mut violations, at("policy.safety_stock"), policy.safety_stock, 0);
            let backorder_limit = quantity(&mut violations, at("policy.backorder_limit"), policy.backorder_limit, 0);
            let excluded_channels =
                channels(&mut violations, &at("policy.excluded_channels"), &policy.excluded_channels);
            let buffers = buffers(&mut violations, &at("policy.buffers"), &policy.buffers);
            let key = LevelKey { sku: sku?, location: location? };
            once(&mut violations, &mut seen, at("policy"), key.clone());
            let terms = StockTerms {
                safety_stock: safety_stock?,
                backorder_limit: backorder_limit?,
                excluded: policy.excluded,
                excluded_channels,
                buffers,
            };
            Some(Line { key, terms, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetStockPolicies", id, request), PolicyChange::Stock(lines))))
}

pub fn sku_policies(request: &proto::SetSkuPoliciesRequest) -> Result<(Key, PolicyChange), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let count = entries(&mut violations, "lines", request.lines.len(), 1, MAX_SKUS);
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let policy = violations.require(at("policy"), line.policy.as_ref())?;
            let sku = sku(&mut violations, at("policy.sku"), &policy.sku);
            let network = quantity(&mut violations, at("policy.network_threshold"), policy.network_threshold, 0);
            let low = quantity(&mut violations, at("policy.low_threshold"), policy.low_threshold, 0);
            let excluded_channels =
                channels(&mut violations, &at("policy.excluded_channels"), &policy.excluded_channels);
            let mut cap = |name: &str, cap: Option<i64>| cap.map(|cap| quantity(&mut violations, at(name), cap, 1));
            let shopper_cap = cap("policy.shopper_cap", policy.shopper_cap);
            let channel_cap = cap("policy.channel_cap", policy.channel_cap);
            let key = sku?;
            once(&mut violations, &mut seen, at("policy"), key.clone());
            let terms = SkuTerms {
                network_threshold: network?,
                low_threshold: low?,
                excluded_channels,
                shopper_cap: shopper_cap.flatten(),
                channel_cap: channel_cap.flatten(),
            };
            Some(Line { key, terms, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetSkuPolicies", id, request), PolicyChange::Skus(lines))))
}

pub fn ring_fences(request: &proto::SetRingFencesRequest) -> Result<(Key, PolicyChange), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let count = line_count(&mut violations, "lines", request.lines.len());
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let fence = violations.require(at("fence"), line.fence.as_ref())?;
            let sku = sku(&mut violations, at("fence.sku"), &fence.sku);
            let location = location(&mut violations, at("fence.location_id"), &fence.location_id);
            let owner = match &fence.owner {
                Some(proto::ring_fence::Owner::ChannelId(channel)) => {
                    violations.check(at("fence.channel_id"), channel.parse::<ChannelId>()).map(FenceOwner::Channel)
                }
                Some(proto::ring_fence::Owner::PartnerId(partner)) => {
                    violations.check(at("fence.partner_id"), partner.parse::<PartnerId>()).map(FenceOwner::Partner)
                }
                None => violations.require(at("fence.owner"), None),
            };
            let quota = quantity(&mut violations, at("fence.quota"), fence.quota, 0);
            let release_at = instant(&mut violations, &at("fence.release_time"), fence.release_time);
            let key = (LevelKey { sku: sku?, location: location? }, owner?);
            once(&mut violations, &mut seen, at("fence"), key.clone());
            Some(Line { key, terms: FenceTerms { quota: quota?, release_at }, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetRingFences", id, request), PolicyChange::Fences(lines))))
}

pub(super) fn version(violations: &mut Violations, field: String, value: i64) -> Option<i64> {
    if value < 0 {
        violations.add(field, "must not be negative");
        return None;
    }
    Some(value)
}

pub(super) fn once<K: Eq + std::hash::Hash>(violations: &mut Violations, seen: &mut HashSet<K>, field: String, key: K) {
    if !seen.insert(key) {
        violations.add(field, "is named twice");
    }
}

fn channels(violations: &mut Violations, field: &str, names: &[String]) -> BTreeSet<ChannelId> {
    let count = entries(violations, field, names.len(), 0, MAX_CHANNELS);
    names
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, name)| violations.check(format!("{field}[{place}]"), name.parse::<ChannelId>()))
        .collect()
}

/// Buffers of nothing are none.
fn buffers(violations: &mut Violations, field: &str, given: &[proto::ChannelBuffer]) -> BTreeMap<ChannelId, i64> {
    let count = entries(violations, field, given.len(), 0, MAX_CHANNELS);
    let mut buffers = BTreeMap::new();
    for (place, one) in given.iter().take(count).enumerate() {
        let channel = violations.check(format!("{field}[{place}].channel_id"), one.channel_id.parse::<ChannelId>());
        let units = quantity(violations, format!("{field}[{place}].units"), one.units, 0);
        if let Some((channel, units)) = channel.zip(units)
            && buffers.insert(channel, units).is_some()
        {
            violations.add(format!("{field}[{place}].channel_id"), "is named twice");
        }
    }
    buffers.retain(|_, units| *units > 0);
    buffers
}

pub(super) fn audit_message(audit: &Audit) -> proto::PolicyAudit {
    proto::PolicyAudit {
        version: audit.version,
        create_time: Some(timestamp(audit.created_at)),
        update_time: Some(timestamp(audit.updated_at)),
        updated_by: audit.updated_by.clone(),
    }
}

fn names(channels: &BTreeSet<ChannelId>) -> Vec<String> {
    channels.iter().map(ChannelId::to_string).collect()
}

pub fn stock_policy_message(policy: &StockPolicy) -> proto::StockPolicy {
    proto::StockPolicy {
        sku: policy.key.sku.to_string(),
        location_id: policy.key.location.to_string(),
        safety_stock: policy.terms.safety_stock,
        backorder_limit: policy.terms.backorder_limit,
        excluded: policy.terms.excluded,
        excluded_channels: names(&policy.terms.excluded_channels),
        buffers: policy
            .terms
            .buffers
            .iter()
            .map(|(channel, units)| proto::ChannelBuffer { channel_id: channel.to_string(), units: *units })
            .collect(),
        audit: Some(audit_message(&policy.audit)),
    }
}

pub fn sku_policy_message(policy: &SkuPolicy) -> proto::SkuPolicy {
    proto::SkuPolicy {
        sku: policy.sku.to_string(),
        network_threshold: policy.terms.network_threshold,
        low_threshold: policy.terms.low_threshold,
        excluded_channels: names(&policy.terms.excluded_channels),
        audit: Some(audit_message(&policy.audit)),
        shopper_cap: policy.terms.shopper_cap,
        channel_cap: policy.terms.channel_cap,
    }
}

pub fn ring_fence_message(fence: &RingFence) -> proto::RingFence {
    proto::RingFence {
        sku: fence.key.sku.to_string(),
        location_id: fence.key.location.to_string(),
        owner: Some(match &fence.owner {
            FenceOwner::Channel(channel) => proto::ring_fence::Owner::ChannelId(channel.to_string()),
            FenceOwner::Partner(partner) => proto::ring_fence::Owner::PartnerId(partner.to_string()),
        }),
        quota: fence.quota,
        release_time: fence.release_at.map(timestamp),
        used: fence.used,
        audit: Some(audit_message(&fence.audit)),
    }
}

/// The place of a fence in its list.
pub fn ring_fence_token(fence: &RingFence) -> String {
    let (kind, owner) = match &fence.owner {
        FenceOwner::Channel(channel) => ("channel", channel.as_str()),
        FenceOwner::Partner(partner) => ("partner", partner.as_str()),
    };
    format!("{}\t{}\t{kind}\t{owner}", fence.key.sku, fence.key.location)
}

/// Where the list of fences goes on: the parts of [`ring_fence_token`].
pub fn after_fence(token: &str) -> Result<(&str, &str, &str, &str), Status> {
    let Some(parts) = page_token(token, 4)? else { return Ok(("", "", "", "")) };
    let owner = match parts[2] {
        "channel" => parts[3].parse::<ChannelId>().is_ok(),
        "partner" => parts[3].parse::<PartnerId>().is_ok(),
        _ => false,
    };
    let level = super::level(parts[0], parts[1]).filter(|_| owner).ok_or_else(bad_token)?;
    Ok((level.0, level.1, parts[2], parts[3]))
}

/// What a change of stock policies answered.
pub fn stock_policies_response(policies: Policies) -> proto::SetStockPoliciesResponse {
    let policies = if let Policies::Stock(policies) = policies { policies } else { Vec::new() };
    proto::SetStockPoliciesResponse { policies: policies.iter().map(stock_policy_message).collect() }
}

pub fn sku_policies_response(policies: Policies) -> proto::SetSkuPoliciesResponse {
    let policies = if let Policies::Skus(policies) = policies { policies } else { Vec::new() };
    proto::SetSkuPoliciesResponse { policies: policies.iter().map(sku_policy_message).collect() }
}

pub fn ring_fences_response(policies: Policies) -> proto::SetRingFencesResponse {
    let fences = if let Policies::Fences(fences) = policies { fences } else { Vec::new() };
    proto::SetRingFencesResponse { fences: fences.iter().map(ring_fence_message).collect() }
}
