//! What the rules refuse, with the data a caller needs to act.

use oneshelf_values::{Currency, HoldId, Money, PartnerId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("partner {partner_id} exists")]
    PartnerExists { partner_id: PartnerId },
    #[error("partner {partner_id} is suspended")]
    PartnerSuspended { partner_id: PartnerId },
    #[error("partner {partner_id} has {available} of credit left, {requested} asked for")]
    CreditExceeded { partner_id: PartnerId, requested: Money, available: Money },
    #[error("credit hold {hold_id} was captured or released before")]
    HoldResolved { hold_id: HoldId },
    #[error("credit hold {hold_id} holds {held}, {requested} was to be captured")]
    CaptureExceedsHold { hold_id: HoldId, held: Money, requested: Money },
    #[error("the account of partner {partner_id} is in {account}, not in {given}")]
    CurrencyMismatch { partner_id: PartnerId, given: Currency, account: Currency },
    #[error("partner {partner_id} is at version {actual}, not at {expected}")]
    VersionMismatch { partner_id: PartnerId, expected: i64, actual: i64 },
    #[error("the account of partner {partner_id} would leave the range of amounts")]
    AmountOverflow { partner_id: PartnerId },
}
