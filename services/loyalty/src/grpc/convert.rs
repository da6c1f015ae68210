//! Messages in and out. Everything wrong with a request is told at once, by field path.

use std::{collections::HashSet, str::FromStr};

use chrono::{DateTime, Utc};
use oneshelf_kit::{idempotency::Key, status::Violations};
use oneshelf_proto::loyalty::v1 as pb;
use oneshelf_values::{MemberId, RequestId};
use tonic::Status;

use crate::domain::{DocumentKind, Entry, Member};

const MAX_MEMBERS: usize = 1_000;
const DEFAULT_MEMBERS_PAGE: i32 = 500;
const MAX_MEMBERS_PAGE: i32 = 5_000;
const DEFAULT_ENTRIES_PAGE: i32 = 100;
const MAX_ENTRIES_PAGE: i32 = 1_000;

pub(super) fn batch_create_members(mut request: pb::BatchCreateMembersRequest) -> Result<(Key, Vec<MemberId>), Status> {
    let mut violations = Violations::new();
    let request_id = violations.check("request_id", request.request_id.parse::<RequestId>());
    // The id may be spelled in upper or lower case, so it is no part of the content.
    request.request_id.clear();
    if request.member_ids.is_empty() || request.member_ids.len() > MAX_MEMBERS {
        violations.add("member_ids", format!("must be 1 to {MAX_MEMBERS}"));
        return Err(violations.into_status());
    }
    let mut seen = HashSet::with_capacity(request.member_ids.len());
    let mut ids = Vec::with_capacity(request.member_ids.len());
    for (index, code) in request.member_ids.iter().enumerate() {
        match code.parse::<MemberId>() {
            Err(error) => violations.add(format!("member_ids[{index}]"), error.to_string()),
            Ok(id) if seen.insert(id.clone()) => ids.push(id),
            Ok(_) => violations.add(format!("member_ids[{index}]"), "stands twice"),
        }
    }
    match request_id {
        Some(id) if violations.is_empty() => Ok((Key::of("BatchCreateMembers", id.into(), &request), ids)),
        _ => Err(violations.into_status()),
    }
}

pub(super) fn get_member(request: &pb::GetMemberRequest) -> Result<MemberId, Status> {
    let mut violations = Violations::new();
    let id = violations.check("member_id", request.member_id.parse());
    id.ok_or_else(|| violations.into_status())
}

pub(super) fn list_members(request: &pb::ListMembersRequest) -> Result<(Option<MemberId>, i64), Status> {
    let mut violations = Violations::new();
    let size = page_size(&mut violations, request.page_size, DEFAULT_MEMBERS_PAGE, MAX_MEMBERS_PAGE);
    let after = page_token(&mut violations, &request.page_token);
    violations.into_result()?;
    Ok((after, size))
}

pub(super) fn list_points_entries(
    request: &pb::ListPointsEntriesRequest,
) -> Result<(MemberId, Option<i64>, i64), Status> {
    let mut violations = Violations::new();
    let id = violations.check("member_id", request.member_id.parse());
    let size = page_size(&mut violations, request.page_size, DEFAULT_ENTRIES_PAGE, MAX_ENTRIES_PAGE);
    let before = page_token(&mut violations, &request.page_token);
    match id {
        Some(id) if violations.is_empty() => Ok((id, before, size)),
        _ => Err(violations.into_status()),
    }
}

fn page_size(violations: &mut Violations, size: i32, default: i32, max: i32) -> i64 {
    if !(0..=max).contains(&size) {
        violations.add("page_size", format!("must be 0 to {max}"));
    }
    (if size == 0 { default } else { size }).into()
}

/// A token is where the page before ended; callers only hand it back.
fn page_token<T: FromStr>(violations: &mut Violations, token: &str) -> Option<T> {
    if token.is_empty() {
        return None;
    }
    violations.check("page_token", token.parse().map_err(|_| "is not one that was given out"))
}

pub(super) fn member_message(member: &Member) -> pb::Member {
    pb::Member {
        member_id: member.id.clone().into(),
        balance: member.balance,
        earned: member.earned,
        create_time: member.enrolled_at.map(timestamp),
    }
}

pub(super) fn entry_message(sequence: i64, entry: &Entry) -> pb::PointsEntry {
    let reason = match entry.kind {
        DocumentKind::Sale => "earn",
        DocumentKind::Return => "take_back",
    };
    pb::PointsEntry {
        sequence,
        document_id: entry.document_id.to_string(),
        reason: reason.to_owned(),
        points: entry.points,
        effective_time: Some(timestamp(entry.effective_at)),
        record_time: Some(timestamp(entry.recorded_at)),
    }
}

fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}
