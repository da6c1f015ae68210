//! What a use case answers when it does not do what was asked.

use oneshelf_kit::batch::Submit;
use oneshelf_values::{HoldId, PartnerId};

use crate::domain::Refusal;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(Refusal),
    #[error("partner {partner_id} does not exist")]
    PartnerNotFound { partner_id: PartnerId },
    #[error("credit hold {hold_id} does not exist")]
    HoldNotFound { hold_id: HoldId },
    #[error("the key is bound to another partner than {partner_id}")]
    OutOfScope { partner_id: PartnerId },
    #[error("the request id was used with other content")]
    RequestIdReused,
    #[error("too many credit commands are waiting")]
    Overloaded,
    /// Whether it was done is unknown: the same request id tells.
    #[error("the credit command got no answer")]
    Unanswered(#[source] Submit<sqlx::Error>),
    /// [`oneshelf_kit::pg::kind`] tells an absent database from a bug.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Submit<sqlx::Error>> for Error {
    fn from(unanswered: Submit<sqlx::Error>) -> Self {
        match unanswered {
            Submit::Overloaded => Self::Overloaded,
            Submit::Failed(error) => Self::Database(error),
            Submit::Stopping | Submit::Unavailable | Submit::Broken => Self::Unanswered(unanswered),
        }
    }
}
