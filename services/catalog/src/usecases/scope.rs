//! What a key that is bound to a channel or partner may touch. An unbound key is limited by its verbs only.

use oneshelf_kit::auth::Caller;
use oneshelf_values::{ChannelId, PartnerId};

use super::{Catalog, Error};
use crate::domain::price_list::PriceList;

impl Catalog {
    /// A bound key sees the list of its channel and of its partner; other lists do not exist for it.
    pub(super) fn may_read_list(&self, caller: &Caller, list: &PriceList) -> bool {
        let unbound = caller.channel().is_none() && caller.partner().is_none();
        let channel = caller.channel().is_some_and(|own| list.channel.as_ref() == Some(own));
        let partner =
            || caller.partner().is_some_and(|own| self.board.partner_list(own).as_ref() == Some(&list.price_list_id));
        unbound || channel || partner()
    }
}

/// Prices are made by the operator, or for its own channel by a key bound to that.
pub(super) fn check_writes_list(caller: &Caller, list: &PriceList) -> Result<(), Error> {
    let channel = match (caller.channel(), &list.channel) {
        (None, _) => true,
        (Some(own), Some(channel)) => own == channel,
        (Some(_), None) => false,
    };
    if channel && caller.partner().is_none() { Ok(()) } else { Err(Error::OutOfScope) }
}

/// A bound key asks for quotes of its own channel and its own partner only.
pub(super) fn check_quotes(caller: &Caller, channel: &ChannelId, partner: Option<&PartnerId>) -> Result<(), Error> {
    let own_partner = match (caller.partner(), partner) {
        (None, _) => true,
        (Some(own), Some(partner)) => own == partner,
        (Some(_), None) => false,
    };
    if caller.covers_channel(channel) && own_partner { Ok(()) } else { Err(Error::OutOfScope) }
}
