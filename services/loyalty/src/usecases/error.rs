//! What a use case answers when it does not do what was asked.

use oneshelf_values::MemberId;

use crate::domain::Refusal;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(Refusal),
    #[error("member {member_id} does not exist")]
    MemberNotFound { member_id: MemberId },
    #[error("the request id was used with other content")]
    RequestIdReused,
    /// [`oneshelf_kit::pg::kind`] tells an absent database from a bug.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
