//! What units cost us.

use std::collections::HashSet;

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::{inventory::v1 as proto, r#type::v1 as common};
use oneshelf_values::{Currency, Sku, UnitPrice};
use tonic::Status;

use super::{
    complete, line_count,
    policies::{audit_message, once, version},
    request_id, sku,
};
use crate::domain::{
    cost::{MAX_COST_MICROS, UnitCost},
    group::Line,
};

pub fn unit_costs(request: &proto::SetUnitCostsRequest) -> Result<(Key, Vec<Line<Sku, UnitPrice>>), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    line_count(&mut violations, "lines", request.lines.len());
    let fits = request.lines.len() <= super::MAX_LINES;
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(super::MAX_LINES)
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let given = violations.require(at("unit_cost"), line.unit_cost.as_ref())?;
            let sku = sku(&mut violations, at("unit_cost.sku"), &given.sku);
            let cost = violations.require(at("unit_cost.cost"), given.cost.as_ref()).and_then(|cost| {
                let code = cost.currency_code.parse::<Currency>();
                let currency = violations.check(at("unit_cost.cost.currency_code"), code);
                if !(0..=MAX_COST_MICROS).contains(&cost.micros) {
                    violations.add(at("unit_cost.cost.micros"), format!("must be 0 to {MAX_COST_MICROS}"));
                }
                currency.map(|currency| UnitPrice::new(cost.micros, currency))
            });
            let key = sku?;
            if fits {
                once(&mut violations, &mut seen, at("unit_cost"), key.clone());
            }
            Some(Line { key, terms: cost?, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetUnitCosts", id, request), lines)))
}

pub fn unit_cost_message(cost: &UnitCost) -> proto::UnitCost {
    proto::UnitCost {
        sku: cost.sku.to_string(),
        cost: Some(common::UnitPrice {
            micros: cost.cost.micros(),
            currency_code: cost.cost.currency().code().to_owned(),
        }),
        audit: Some(audit_message(&cost.audit)),
    }
}
