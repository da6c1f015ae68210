//! Messages in and out. Everything wrong with a request is told at once, by field path.

use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::{partners::v1 as pb, r#type::v1 as pb_type};
use oneshelf_values::{Currency, HoldId, HoldState, Money, PartnerId, RequestId};
use tonic::Status;

use crate::{
    domain::{Account, CreditHold, Entry, EntryReason, NewPartner, Tier},
    events::{money_message, timestamp},
};

const MAX_TITLE_CHARS: usize = 200;
const MAX_REASON_CHARS: usize = 200;
const MAX_REFERENCE_CHARS: usize = 100;
const DEFAULT_PAGE: i64 = 100;
const MAX_PAGE: i32 = 1_000;

/// The idempotency key of a request. Its id is cleared before the content is digested: the id may be spelled in upper or
/// lower case.
macro_rules! key {
    ($violations:ident, $request:ident, $rpc:literal) => {{
        let request_id = $violations.check("request_id", $request.request_id.parse::<RequestId>());
        $request.request_id.clear();
        request_id.map(|id| Key::of($rpc, id.into(), &$request))
    }};
}

pub(super) fn create_partner(mut request: pb::CreatePartnerRequest) -> Result<(Key, NewPartner), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "CreatePartner");
    let Some(partner) = violations.require("partner", request.partner) else {
        return Err(violations.into_status());
    };
    let id = violations.check("partner.partner_id", partner.partner_id.parse());
    let title = text(&mut violations, "partner.title", &partner.title, 1, MAX_TITLE_CHARS);
    let tier = match pb::PartnerTier::try_from(partner.tier) {
        Ok(pb::PartnerTier::Unspecified | pb::PartnerTier::Standard) => Some(Tier::Standard),
        Ok(pb::PartnerTier::Silver) => Some(Tier::Silver),
        Ok(pb::PartnerTier::Gold) => Some(Tier::Gold),
        Err(_) => {
            violations.add("partner.tier", "is not a tier");
            None
        }
    };
    let price_list = match partner.price_list_id.as_str() {
        "" => Some(None),
        code => violations.check("partner.price_list_id", code.parse().map(Some)),
    };
    let credit_limit = money(&mut violations, "partner.credit_limit", partner.credit_limit.as_ref(), 0);
    match (key, id, title, tier, price_list, credit_limit) {
        (Some(key), Some(id), Some(title), Some(tier), Some(price_list), Some(credit_limit)) => {
            Ok((key, NewPartner { id, title, tier, price_list, credit_limit }))
        }
        _ => Err(violations.into_status()),
    }
}

pub(super) fn suspend_partner(mut request: pb::SuspendPartnerRequest) -> Result<(Key, PartnerId, String), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "SuspendPartner");
    let id = violations.check("partner_id", request.partner_id.parse());
    let reason = text(&mut violations, "reason", &request.reason, 1, MAX_REASON_CHARS);
    match (key, id, reason) {
        (Some(key), Some(id), Some(reason)) => Ok((key, id, reason)),
        _ => Err(violations.into_status()),
    }
}

pub(super) fn reinstate_partner(mut request: pb::ReinstatePartnerRequest) -> Result<(Key, PartnerId), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "ReinstatePartner");
    let id = violations.check("partner_id", request.partner_id.parse());
    match (key, id) {
        (Some(key), Some(id)) => Ok((key, id)),
        _ => Err(violations.into_status()),
    }
}

pub(super) fn set_credit_limit(
    mut request: pb::SetCreditLimitRequest,
) -> Result<(Key, PartnerId, Money, Option<i64>), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "SetCreditLimit");
    let id = violations.check("partner_id", request.partner_id.parse());
    let limit = money(&mut violations, "credit_limit", request.credit_limit.as_ref(), 0);
    if request.expected_version < 0 {
        violations.add("expected_version", "must not be negative");
    }
    match (key, id, limit) {
        (Some(key), Some(id), Some(limit)) if violations.is_empty() => {
            Ok((key, id, limit, (request.expected_version > 0).then_some(request.expected_version)))
        }
        _ => Err(violations.into_status()),
    }
}

pub(super) fn hold_credit(mut request: pb::HoldCreditRequest) -> Result<(Key, PartnerId, Money, String), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "HoldCredit");
    let id = violations.check("partner_id", request.partner_id.parse());
    let amount = money(&mut violations, "amount", request.amount.as_ref(), 1);
    let reference = text(&mut violations, "reference", &request.reference, 0, MAX_REFERENCE_CHARS);
    match (key, id, amount, reference) {
        (Some(key), Some(id), Some(amount), Some(reference)) => Ok((key, id, amount, reference)),
        _ => Err(violations.into_status()),
    }
}

pub(super) fn capture_credit(mut request: pb::CaptureCreditRequest) -> Result<(Key, HoldId, Option<Money>), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "CaptureCredit");
    let id = violations.check("hold_id", request.hold_id.parse());
    let amount = match &request.amount {
        None => Some(None),
        amount => money(&mut violations, "amount", amount.as_ref(), 0).map(Some),
    };
    match (key, id, amount) {
        (Some(key), Some(id), Some(amount)) => Ok((key, id, amount)),
        _ => Err(violations.into_status()),
    }
}

pub(super) fn release_credit(mut request: pb::ReleaseCreditRequest) -> Result<(Key, HoldId), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "ReleaseCredit");
    let id = violations.check("hold_id", request.hold_id.parse());
    match (key, id) {
        (Some(key), Some(id)) => Ok((key, id)),
        _ => Err(violations.into_status()),
    }
}

pub(super) fn record_payment(mut request: pb::RecordPaymentRequest) -> Result<(Key, PartnerId, Money, String), Status> {
    let mut violations = Violations::new();
    let key = key!(violations, request, "RecordPayment");
    let id = violations.check("partner_id", request.partner_id.parse());
    let amount = money(&mut violations, "amount", request.amount.as_ref(), 1);
    let reference = text(&mut violations, "reference", &request.reference, 0, MAX_REFERENCE_CHARS);
    match (key, id, amount, reference) {
        (Some(key), Some(id), Some(amount), Some(reference)) => Ok((key, id, amount, reference)),
        _ => Err(violations.into_status()),
    }
}

pub(super) fn partner_id(code: &str) -> Result<PartnerId, Status> {
    let mut violations = Violations::new();
    let id = violations.check("partner_id", code.parse());
    id.ok_or_else(|| violations.into_status())
}

pub(super) fn list_partners(request: &pb::ListPartnersRequest) -> Result<(Option<PartnerId>, i64), Status> {
    let mut violations = Violations::new();
    let size = page_size(&mut violations, request.page_size);
    let after = page_token(&mut violations, &request.page_token);
    violations.into_result()?;
    Ok((after, size))
}

pub(super) fn list_credit_entries(
    request: &pb::ListCreditEntriesRequest,
) -> Result<(PartnerId, Option<i64>, i64), Status> {
    let mut violations = Violations::new();
    let id = violations.check("partner_id", request.partner_id.parse());
    let size = page_size(&mut violations, request.page_size);
    let before = page_token(&mut violations, &request.page_token);
    match id {
        Some(id) if violations.is_empty() => Ok((id, before, size)),
        _ => Err(violations.into_status()),
    }
}

fn page_size(violations: &mut Violations, size: i32) -> i64 {
    match size {
        0 => DEFAULT_PAGE,
        1..=MAX_PAGE => size.into(),
        _ => {
            violations.add("page_size", format!("must be 0 to {MAX_PAGE}"));
            DEFAULT_PAGE
        }
    }
}

/// A token is where the page before ended; callers only hand it back.
fn page_token<T: std::str::FromStr>(violations: &mut Violations, token: &str) -> Option<T> {
    if token.is_empty() {
        return None;
    }
    violations.check("page_token", token.parse().map_err(|_| "is not one that was given out"))
}

fn text(violations: &mut Violations, field: &str, text: &str, min: usize, max: usize) -> Option<String> {
    let text = text.trim();
    let length = text.chars().count();
    if length < min {
        violations.add(field, "must not be empty");
    } else if length > max {
        violations.add(field, format!("must be at most {max} characters"));
    } else if let Some(control) = text.chars().find(|c| c.is_control()) {
        violations.add(field, format!("must not contain {control:?}"));
    } else {
        return Some(text.to_owned());
    }
    None
}

fn money(violations: &mut Violations, field: &str, amount: Option<&pb_type::Money>, min: i64) -> Option<Money> {
    let amount = violations.require(field, amount)?;
    let currency = violations.check(format!("{field}.currency_code"), amount.currency_code.parse());
    if amount.minor_units < min {
        let words = if min == 0 { "must not be negative" } else { "must be above zero" };
        violations.add(format!("{field}.minor_units"), words);
        return None;
    }
    currency.map(|currency| Money::new(amount.minor_units, currency))
}

pub(super) fn hold_message(hold: &CreditHold) -> pb::CreditHold {
    let state = match hold.hold.state() {
        HoldState::Held => pb::CreditHoldState::Held,
        HoldState::Committed { .. } => pb::CreditHoldState::Captured,
        HoldState::Released { .. } | HoldState::Expired { .. } => pb::CreditHoldState::Released,
    };
    pb::CreditHold {
        hold_id: hold.id.to_string(),
        partner_id: hold.partner_id.clone().into(),
        amount: Some(money_message(hold.amount())),
        captured: Some(money_message(hold.captured())),
        state: state.into(),
        reference: hold.reference.clone(),
        create_time: Some(timestamp(hold.created_at)),
    }
}

pub(super) fn account_message(account: &Account) -> pb::CreditAccount {
    pb::CreditAccount {
        partner_id: account.partner_id.clone().into(),
        limit: Some(money_message(account.limit())),
        used: Some(money_message(account.used())),
        held: Some(money_message(account.held())),
        available: Some(money_message(account.available())),
        version: account.version,
    }
}

pub(super) fn entry_message(sequence: i64, entry: &Entry, currency: Currency) -> pb::CreditEntry {
    let reason = match entry.reason {
        EntryReason::Capture => "capture",
        EntryReason::Payment => "payment",
        EntryReason::Return => "return",
    };
    pb::CreditEntry {
        sequence,
        reason: reason.to_owned(),
        amount: Some(money_message(Money::new(entry.amount_minor, currency))),
        reference: entry.reference.clone(),
        create_time: Some(timestamp(entry.created_at)),
    }
}
