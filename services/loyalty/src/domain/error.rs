//! What the rules refuse. Facts that came by events are refused only when they contradict themselves.

use oneshelf_values::{Currency, MemberId};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("member {member_id} exists")]
    MemberExists { member_id: MemberId },
    #[error("document {document_id} is of member {member_id}, not of {given}")]
    OtherMember { document_id: Uuid, member_id: MemberId, given: MemberId },
    #[error("document {document_id} is in {currency}, not in {given}")]
    OtherCurrency { document_id: Uuid, currency: Currency, given: Currency },
    #[error("line {line_no} of document {document_id} stands twice in one delivery")]
    LineTwice { document_id: Uuid, line_no: i32 },
    #[error("the points of member {member_id} would leave the range of integers")]
    PointsOverflow { member_id: MemberId },
}
