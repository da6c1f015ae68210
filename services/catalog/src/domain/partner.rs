//! What quotes need to know of a partner. The partners service owns the rest.

use oneshelf_values::{PartnerId, PriceListId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    pub partner_id: PartnerId,
    /// Tried before the channel's list.
    pub price_list: Option<PriceListId>,
    pub state: PartnerState,
    pub version: i64,
}

/// Kept for the record. A suspended partner may still ask what things cost; orders refuses to sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartnerState {
    Active,
    Suspended,
}

impl PartnerState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }
}

/// One per partner: the newest of those given.
pub fn newest(mut partners: Vec<Partner>) -> Vec<Partner> {
    partners.sort_by(|a, b| (&a.partner_id, b.version).cmp(&(&b.partner_id, a.version)));
    partners.dedup_by(|later, kept| later.partner_id == kept.partner_id);
    partners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_records_of_a_partner_the_newest_stands() {
        let partner = |id: &str, version| Partner {
            partner_id: id.parse().unwrap(),
            price_list: None,
            state: PartnerState::Active,
            version,
        };
        let kept = newest(vec![partner("B", 1), partner("A", 2), partner("A", 3), partner("A", 1)]);
        assert_eq!(kept, [partner("A", 3), partner("B", 1)]);
    }
}
