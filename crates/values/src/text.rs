/// Why a code, SKU or id is not one. The text fits a field violation as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {max} characters")]
    TooLong { max: usize },
    #[error("must not contain {found:?}")]
    Character { found: char },
    #[error("must not contain two spaces in a row")]
    RepeatedSpace,
    #[error("must be a UUID")]
    NotUuid,
    #[error("must not be the nil UUID")]
    NilUuid,
    #[error("must be a country code of two letters")]
    NotCountry,
}
