//! Movements between named accounts, reasons, exports, drift.

use chrono::{DateTime, Datelike as _, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{PartnerId, Sku};
use tonic::Status;
use uuid::Uuid;

use super::{
    YEARS, bulk::reason_code, complete, instant, line_count, location, lots::NamedLots, quantity, reference,
    request_id, sku, text,
};
use crate::{
    domain::{
        drift::{Counters, Finding, Repaired},
        group::posting::PostLine,
        ledger::Account,
        lot::Units,
        stock_level::{Bucket, LevelKey},
    },
    time::timestamp,
    usecases::{
        export_movements::{EntryPlace, ExportFilter},
        post_movement::Posting,
        reason_codes::KnownReason,
    },
};

const MAX_TITLE: usize = 200;

pub fn posting(request: &proto::PostMovementRequest) -> Result<(Key, Posting), Status> {
    let (mut violations, mut lots) = (Violations::new(), NamedLots::default());
    let id = request_id(&mut violations, &request.request_id);
    let location = location(&mut violations, "location_id", &request.location_id);
    let count = line_count(&mut violations, "lines", request.lines.len());
    let consigns = request.lines.iter().any(|line| {
        let consignment = i32::from(proto::Account::Consignment);
        line.source == consignment || line.target == consignment
    });
    let owner = if consigns { violations.check("owner_id", request.owner_id.parse::<PartnerId>()) } else { None };
    let lines: Vec<PostLine> = request
        .lines
        .iter()
        .take(count)
        .enumerate()
        .filter_map(|(place, line)| {
            let sku = sku(&mut violations, format!("lines[{place}].sku"), &line.sku);
            let quantity = quantity(&mut violations, format!("lines[{place}].quantity"), line.quantity, 1);
            let lots = lots.read(&mut violations, &format!("lines[{place}].lots"), &line.lots, line.quantity);
            let mut account = |name: &str, value| {
                let account = account(value, location.as_ref()?, owner.as_ref());
                if account.is_none() && !(consigns && owner.is_none()) {
                    violations.add(format!("lines[{place}].{name}"), "must be a known account");
                }
                account
            };
            let (source, target) = (account("source", line.source), account("target", line.target));
            if let (Some(source), Some(target)) = (&source, &target)
                && (source == target || (source.location().is_none() && target.location().is_none()))
            {
                violations.add(
                    format!("lines[{place}].target"),
                    "must differ from the source, and one of the two must be a bucket",
                );
            }
            Some(PostLine {
                key: LevelKey { sku: sku?, location: location.clone()? },
                source: source?,
                target: target?,
                units: Units { quantity: quantity?, lots },
            })
        })
        .collect();
    let code = reason_code(&mut violations, "reason_code", &request.reason_code);
    let reference = reference(&mut violations, &request.reference);
    let effective_at = instant(&mut violations, "effective_time", request.effective_time);
    // A line that cannot be read may have named it.
    if !consigns && !request.owner_id.is_empty() && !lines.is_empty() && lines.len() == request.lines.len() {
        violations.add("owner_id", "is only for lines that name CONSIGNMENT");
    }
    let posting = (|| {
        Some((
            Key::of("PostMovement", id?, request),
            Posting { location: location?, lines, reason_code: code?, reference: reference?, effective_at },
        ))
    })();
    complete(violations, posting)
}

fn account(value: i32, location: &oneshelf_values::LocationId, owner: Option<&PartnerId>) -> Option<Account> {
    let shelf = |bucket| Account::Shelf(location.clone(), bucket);
    Some(match proto::Account::try_from(value).ok()? {
        proto::Account::Unspecified => return None,
        proto::Account::Sellable => shelf(Bucket::Sellable),
        proto::Account::Damaged => shelf(Bucket::Damaged),
        proto::Account::Quarantine => shelf(Bucket::Quarantine),
        proto::Account::Supplier => Account::Supplier,
        proto::Account::Customer => Account::Customer,
        proto::Account::Loss => Account::Loss,
        proto::Account::Found => Account::Found,
        proto::Account::Production => Account::Production,
        proto::Account::Consignment => Account::Consignment(owner?.clone()),
    })
}

pub fn new_reason_code(request: &proto::CreateReasonCodeRequest) -> Result<(Key, String, String), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let given = violations.require("reason_code", request.reason_code.as_ref());
    let parsed = given.and_then(|given| {
        let code = reason_code(&mut violations, "reason_code.reason_code", &given.reason_code);
        let title = text(&mut violations, "reason_code.title", &given.title, 1, MAX_TITLE);
        Some((Key::of("CreateReasonCode", id?, request), code?, title?))
    });
    complete(violations, parsed)
}

pub fn reason_code_message(reason: KnownReason) -> proto::ReasonCode {
    proto::ReasonCode {
        reason_code: reason.code,
        title: reason.title,
        built_in: reason.built_in,
        assignable: reason.assignable,
    }
}

/// What to export, how, and after which entry.
pub type ExportAsked = (proto::ExportFormat, ExportFilter, Option<EntryPlace>);

pub fn export_request(request: &proto::ExportMovementsRequest) -> Result<ExportAsked, Status> {
    let mut violations = Violations::new();
    let after = match request.resume_token.as_str() {
        "" => None,
        token => violations.check("resume_token", place(token).ok_or("is not a token of this export")),
    };
    let format = match proto::ExportFormat::try_from(request.format) {
        Ok(format @ (proto::ExportFormat::Csv | proto::ExportFormat::Epcis)) => Some(format),
        Ok(proto::ExportFormat::Unspecified) | Err(_) => {
            violations.add("format", "must be a known format");
            None
        }
    };
    let sku = (!request.sku.is_empty()).then(|| violations.check("sku", request.sku.parse()));
    let location =
        (!request.location_id.is_empty()).then(|| violations.check("location_id", request.location_id.parse()));
    let from = instant(&mut violations, "from_time", request.from_time);
    let to = instant(&mut violations, "to_time", request.to_time);
    let filter = ExportFilter {
        sku: sku.flatten(),
        location: location.flatten(),
        // No entry is of an earlier or later time: see `instant`.
        from: from.unwrap_or_else(|| year(1900)),
        to: to.unwrap_or_else(|| year(10_000)),
    };
    if filter.from >= filter.to && violations.is_empty() {
        violations.add("to_time", "must be after from_time");
    }
    complete(violations, format.map(|format| (format, filter, after)))
}

fn place(token: &str) -> Option<EntryPlace> {
    let [sku, micros, entry_id]: [&str; 3] = token.split('\t').collect::<Vec<_>>().try_into().ok()?;
    Some(EntryPlace {
        sku: sku.parse::<Sku>().ok()?.to_string(),
        effective_at: DateTime::from_timestamp_micros(micros.parse().ok()?).filter(|at| YEARS.contains(&at.year()))?,
        entry_id: entry_id.parse().ok().filter(|id| *id > 0)?,
    })
}

pub fn resume_token(place: &EntryPlace) -> String {
    format!("{}\t{}\t{}", place.sku, place.effective_at.timestamp_micros(), place.entry_id)
}

fn year(number: i32) -> DateTime<Utc> {
    chrono::NaiveDate::from_ymd_opt(number, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN).and_utc()
}

pub fn finding_id(token: &str) -> Result<Option<Uuid>, Status> {
    match token {
        "" => Ok(None),
        _ => token.parse().ok().filter(|id: &Uuid| !id.is_nil()).map(Some).ok_or_else(super::bad_token),
    }
}

pub fn repair(request: &proto::RepairLevelRequest) -> Result<(Key, LevelKey, String), Status> {
    let mut violations = Violations::new();
    let id = request_id(&mut violations, &request.request_id);
    let sku = sku(&mut violations, "sku".to_owned(), &request.sku);
    let location = location(&mut violations, "location_id", &request.location_id);
    let reason = text(&mut violations, "reason", &request.reason, 1, MAX_TITLE);
    let parsed =
        (|| Some((Key::of("RepairLevel", id?, request), LevelKey { sku: sku?, location: location? }, reason?)))();
    complete(violations, parsed)
}

pub fn repair_message(repaired: &Repaired) -> proto::RepairLevelResponse {
    proto::RepairLevelResponse {
        before: Some(counters(&repaired.before)),
        after: Some(counters(&repaired.after)),
        version: repaired.version,
    }
}

pub fn drift_message(finding: &Finding) -> proto::Drift {
    let drift = &finding.assessment;
    proto::Drift {
        finding_id: finding.finding_id.to_string(),
        sku: drift.key.sku.to_string(),
        location_id: drift.key.location.to_string(),
        counted: Some(counters(&drift.counted)),
        expected: Some(counters(&drift.expected)),
        level_version: drift.level_version,
        find_time: Some(timestamp(finding.found_at)),
        resolve_time: finding.resolved_at.map(timestamp),
    }
}

fn counters(of: &Counters) -> proto::DriftCounters {
    proto::DriftCounters {
        sellable: of.sellable,
        damaged: of.damaged,
        quarantine: of.quarantine,
        soft_held: of.soft_held,
        hard_held: of.hard_held,
    }
}
