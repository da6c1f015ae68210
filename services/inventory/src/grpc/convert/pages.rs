//! Pages of lists. A page token is the last key of the page before, parts separated by a tab, which no key contains;
//! what comes back is parsed like any other input.

use chrono::{DateTime, Datelike as _, Utc};
use oneshelf_kit::status::Violations;
use oneshelf_proto::inventory::v1 as proto;
use oneshelf_values::{LocationId, Sku};
use tonic::Status;

use super::{YEARS, complete, location, sku};
use crate::{
    domain::stock_level::LevelKey,
    usecases::list::{StoredLevel, StoredMovement},
};

/// Which levels a caller lists.
pub struct LevelsPage {
    pub location: Option<LocationId>,
    pub sku: Option<Sku>,
    pub after: Option<LevelKey>,
    pub limit: i64,
}

pub fn levels_page(request: &proto::ListStockLevelsRequest) -> Result<LevelsPage, Status> {
    let mut violations = Violations::new();
    let location = optional(&request.location_id, |text| location(&mut violations, "location_id", text));
    let sku = optional(&request.sku, |text| sku(&mut violations, "sku".to_owned(), text));
    let limit = page_size(&mut violations, request.page_size, 500, 5_000);
    let after = page_token(&mut violations, &request.page_token, level_place);
    complete(violations, limit.map(|limit| LevelsPage { location, sku, after, limit }))
}

fn level_place(token: &str) -> Option<LevelKey> {
    let (sku, location) = token.split_once('\t')?;
    Some(LevelKey { sku: sku.parse().ok()?, location: location.parse().ok()? })
}

pub fn level_token(last: &StoredLevel) -> String {
    format!("{}\t{}", last.key.sku, last.key.location)
}

/// Which movements a caller lists: those before an entry of the ledger.
pub struct MovementsPage {
    pub sku: Sku,
    pub location: Option<LocationId>,
    pub before: Option<(DateTime<Utc>, i64)>,
    pub limit: i64,
}

pub fn movements_page(request: &proto::ListMovementsRequest) -> Result<MovementsPage, Status> {
    let mut violations = Violations::new();
    let sku = sku(&mut violations, "sku".to_owned(), &request.sku);
    let location = optional(&request.location_id, |text| location(&mut violations, "location_id", text));
    let limit = page_size(&mut violations, request.page_size, 100, 1_000);
    let before = page_token(&mut violations, &request.page_token, |token| {
        let (micros, entry_id) = token.split_once('\t')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?).filter(|at| YEARS.contains(&at.year()))?;
        Some((at, entry_id.parse().ok()?))
    });
    complete(violations, sku.zip(limit).map(|(sku, limit)| MovementsPage { sku, location, before, limit }))
}

pub fn movement_token(last: &StoredMovement) -> String {
    format!("{}\t{}", last.effective_at.timestamp_micros(), last.entry_id)
}

fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    if text.is_empty() { None } else { parse(text) }
}

fn page_size(violations: &mut Violations, asked: i32, default: i64, most: i64) -> Option<i64> {
    match i64::from(asked) {
        0 => Some(default),
        asked if (1..=most).contains(&asked) => Some(asked),
        _ => {
            violations.add("page_size", format!("must be 0 to {most}"));
            None
        }
    }
}

fn page_token<T>(violations: &mut Violations, token: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    optional(token, |token| violations.check("page_token", parse(token).ok_or("is not a token of this list")))
}
