//! Answers as they are kept under their request ids: balances move later, but a repeated request must be told what the
//! first one was told.

use chrono::{DateTime, Utc};
use oneshelf_values::MemberId;
use serde::{Deserialize, Serialize};

use crate::domain::Member;

#[derive(Serialize, Deserialize)]
struct MemberAnswer {
    member_id: MemberId,
    balance: i64,
    earned: i64,
    version: i64,
    enrolled_at: Option<DateTime<Utc>>,
}

pub(crate) fn encode_members(members: &[Member]) -> Vec<u8> {
    let answers: Vec<MemberAnswer> = members
        .iter()
        .map(|member| MemberAnswer {
            member_id: member.id.clone(),
            balance: member.balance,
            earned: member.earned,
            version: member.version,
            enrolled_at: member.enrolled_at,
        })
        .collect();
    serde_json::to_vec(&answers).expect("plain values have a JSON form")
}

pub(crate) fn decode_members(answer: &[u8]) -> Result<Vec<Member>, sqlx::Error> {
    let answers: Vec<MemberAnswer> =
        serde_json::from_slice(answer).map_err(|error| super::inconsistent("idempotency_keys", "answer", error))?;
    let members = answers.into_iter().map(|answer| Member {
        id: answer.member_id,
        balance: answer.balance,
        earned: answer.earned,
        version: answer.version,
        enrolled_at: answer.enrolled_at,
    });
    Ok(members.collect())
}
