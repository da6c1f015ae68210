//! Kits.

use std::collections::{BTreeMap, HashSet};

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::Sku;
use tonic::Status;

use super::{
    complete,
    policies::{audit_message, once, version},
    request_id, sku,
};
use crate::domain::{
    group::{Line, Policies, PolicyChange},
    kit::{Components, Kit, MAX_COMPONENTS, MAX_UNITS},
};

/// Kits that one request defines, and their components together: every level of these is locked.
const MAX_KITS: usize = 20;
const MAX_PARTS: usize = 200;

pub fn set_kits(request: &proto::SetKitsRequest) -> Result<(Key, PolicyChange), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let parts: usize = request.lines.iter().filter_map(|line| line.kit.as_ref()).map(|kit| kit.components.len()).sum();
    let fits = request.lines.len() <= MAX_KITS && parts <= MAX_PARTS;
    if request.lines.is_empty() || !fits {
        violations
            .add("lines", format!("must have 1 to {MAX_KITS} entries, and at most {MAX_PARTS} components together"));
    }
    let mut seen = HashSet::new();
    let lines = request
        .lines
        .iter()
        .take(if fits { MAX_KITS } else { 0 })
        .enumerate()
        .filter_map(|(place, line)| {
            let at = |name: &str| format!("lines[{place}].{name}");
            let expected_version = version(&mut violations, at("expected_version"), line.expected_version);
            let kit = violations.require(at("kit"), line.kit.as_ref())?;
            let key = sku(&mut violations, at("kit.sku"), &kit.sku);
            let terms = components(&mut violations, &at("kit.components"), &kit.components);
            let key = key?;
            once(&mut violations, &mut seen, at("kit"), key.clone());
            Some(Line { key, terms, expected_version: expected_version? })
        })
        .collect();
    complete(violations, id.map(|id| (Key::of("SetKits", id, request), PolicyChange::Kits(lines))))
}

fn components(violations: &mut Violations, field: &str, given: &[proto::KitComponent]) -> Components {
    if given.is_empty() || given.len() > MAX_COMPONENTS {
        violations.add(field, format!("must have 1 to {MAX_COMPONENTS} entries"));
        return BTreeMap::new();
    }
    let mut components = BTreeMap::new();
    for (place, one) in given.iter().enumerate() {
        let component = sku(violations, format!("{field}[{place}].sku"), &one.sku);
        if !(1..=MAX_UNITS).contains(&one.units) {
            violations.add(format!("{field}[{place}].units"), format!("must be 1 to {MAX_UNITS}"));
        }
        if component.is_some_and(|component| components.insert(component, one.units).is_some()) {
            violations.add(format!("{field}[{place}].sku"), "is named twice");
        }
    }
    components
}

/// Filters of the list: a kit, and a component.
pub fn kit_filters(request: &proto::ListKitsRequest) -> Result<(Option<Sku>, Option<Sku>), Status> {
    let mut violations = Violations::new();
    let mut filter = |name: &str, text: &str| (!text.is_empty()).then(|| sku(&mut violations, name.to_owned(), text));
    let kit = filter("sku", &request.sku).flatten();
    let component = filter("component_sku", &request.component_sku).flatten();
    complete(violations, Some((kit, component)))
}

pub fn kit_message(kit: &Kit) -> proto::Kit {
    proto::Kit {
        sku: kit.sku.to_string(),
        components: kit
            .components
            .iter()
            .map(|(sku, units)| proto::KitComponent { sku: sku.to_string(), units: *units })
            .collect(),
        audit: Some(audit_message(&kit.audit)),
    }
}

pub fn kits_response(policies: Policies) -> proto::SetKitsResponse {
    let kits = if let Policies::Kits(kits) = policies { kits } else { Vec::new() };
    proto::SetKitsResponse { kits: kits.iter().map(kit_message).collect() }
}
