//! What quotes read, in memory: SKUs, price lists, partners' lists and the price book.
//!
//! The book is swapped whole; readers keep the one they began with. Versions that are published and not yet active wait
//! beside it and are taken by the clock of whoever asks, so an activation needs no one to act. All of it is filled by
//! [`Catalog::refresh`](super::Catalog::refresh) and is never more than one poll behind the database.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use chrono::{DateTime, Utc};
use oneshelf_pricing::{Context, PriceBook};
use oneshelf_values::{ChannelId, Currency, PartnerId, PriceListId, Sku};
use tokio::sync::watch;

use crate::domain::{Refusal, partner::Partner, price_list::PriceList};

pub struct Board {
    skus: RwLock<HashSet<Sku>>,
    lists: RwLock<Lists>,
    /// Only partners that have a list of their own.
    partner_lists: RwLock<HashMap<PartnerId, PriceListId>>,
    /// Never empty: the active one, or one that it has overtaken, then those that wait.
    books: RwLock<Vec<Activation>>,
    /// The version of the active book, for those who wait for the next.
    active: watch::Sender<i64>,
}

/// A book and the instant from which it may be used. In order of versions.
#[derive(Clone)]
pub(super) struct Activation {
    pub(super) activate_at: DateTime<Utc>,
    pub(super) book: Arc<PriceBook>,
}

#[derive(Default)]
struct Lists {
    currencies: HashMap<PriceListId, Currency>,
    of_channel: HashMap<ChannelId, Vec<(Currency, PriceListId)>>,
}

/// The lists that a quote takes its prices from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuoteLists {
    pub(super) first: PriceListId,
    /// Asked where the first has no price.
    pub(super) second: Option<PriceListId>,
}

impl QuoteLists {
    /// The partner's list goes before the channel's; where there is one list only, it stands alone.
    pub(super) fn context(&self, currency: Currency, at: DateTime<Utc>) -> Context<'_> {
        let (channel_list, partner_list) = match &self.second {
            Some(channel_list) => (channel_list, Some(&self.first)),
            None => (&self.first, None),
        };
        Context { channel_list, partner_list, currency, at }
    }
}

impl Board {
    pub(super) fn empty() -> Self {
        let none = Activation { activate_at: DateTime::<Utc>::MIN_UTC, book: Arc::new(PriceBook::empty()) };
        Self {
            skus: RwLock::default(),
            lists: RwLock::default(),
            partner_lists: RwLock::default(),
            books: RwLock::new(vec![none]),
            active: watch::Sender::new(0),
        }
    }

    /// The newest book that is active at `now`.
    pub(super) fn book(&self, now: DateTime<Utc>) -> Arc<PriceBook> {
        let books = read(&self.books);
        books[active(&books, now)].book.clone()
    }

    pub(super) fn knows_sku(&self, sku: &Sku) -> bool {
        read(&self.skus).contains(sku)
    }

    pub(super) fn partner_list(&self, partner: &PartnerId) -> Option<PriceListId> {
        read(&self.partner_lists).get(partner).cloned()
    }

    /// The partner's own list goes before the channel's. A list that is named and not there, or is in another currency,
    /// is refused: silently charging by the next one would be a wrong price.
    pub(super) fn quote_lists(
        &self,
        channel: &ChannelId,
        partner: Option<&PartnerId>,
        currency: Currency,
    ) -> Result<QuoteLists, Refusal> {
        let partner_list = partner.and_then(|partner| self.partner_list(partner));
        let lists = read(&self.lists);
        if let Some(list) = &partner_list {
            match lists.currencies.get(list) {
                None => return Err(Refusal::NoPartnerList { price_list_id: list.clone() }),
                Some(other) if *other != currency => {
                    return Err(Refusal::CurrencyMismatch { expected: *other, found: currency, entry: None });
                }
                Some(_) => {}
            }
        }
        let of_channel = lists.of_channel.get(channel).map_or(&[][..], Vec::as_slice);
        let channel_list = of_channel.iter().find(|(c, _)| *c == currency).map(|(_, list)| list.clone());
        match (partner_list, channel_list) {
            (Some(first), second) => Ok(QuoteLists { first, second }),
            (None, Some(first)) => Ok(QuoteLists { first, second: None }),
            (None, None) => Err(match of_channel.first() {
                Some((other, _)) => Refusal::CurrencyMismatch { expected: *other, found: currency, entry: None },
                None => Refusal::NoChannelList { channel: channel.clone() },
            }),
        }
    }

    /// Follows the version of the active book.
    pub(super) fn watch_active(&self) -> watch::Receiver<i64> {
        self.active.subscribe()
    }
}

/// Filling, by the one refresh that runs at a time.
impl Board {
    pub(super) fn add_skus(&self, skus: Vec<Sku>) {
        write(&self.skus).extend(skus);
    }

    pub(super) fn add_lists(&self, added: Vec<PriceList>) {
        let mut lists = write(&self.lists);
        for list in added {
            let known = lists.currencies.insert(list.price_list_id.clone(), list.currency).is_some();
            if let Some(channel) = list.channel
                && !known
            {
                lists.of_channel.entry(channel).or_default().push((list.currency, list.price_list_id));
            }
        }
    }

    pub(super) fn put_partners(&self, partners: Vec<Partner>) {
        let mut lists = write(&self.partner_lists);
        for partner in partners {
            match partner.price_list {
                Some(list) => lists.insert(partner.partner_id, list),
                None => lists.remove(&partner.partner_id),
            };
        }
    }

    pub(super) fn currencies(&self) -> HashMap<PriceListId, Currency> {
        read(&self.lists).currencies.clone()
    }

    /// The book of the highest version, active or not: what the next one is built on.
    pub(super) fn newest_book(&self) -> Arc<PriceBook> {
        let books = read(&self.books);
        books[books.len() - 1].book.clone()
    }

    pub(super) fn add_books(&self, added: Vec<Activation>) {
        write(&self.books).extend(added);
    }

    /// Lets go of books that can never be active again and tells the waiting; answers when the next activation is due.
    pub(super) fn settle(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut books = write(&self.books);
        let index = active(&books, now);
        books.drain(..index);
        let version = books[0].book.version();
        let next = books.iter().map(|b| b.activate_at).filter(|at| *at > now).min();
        drop(books);
        self.active.send_if_modified(|known| std::mem::replace(known, version) != version);
        next
    }
}

/// The first one has been active before; it stays so if the machine's clock was set back.
fn active(books: &[Activation], now: DateTime<Utc>) -> usize {
    books.iter().rposition(|b| b.activate_at <= now).unwrap_or(0)
}

// A writer that panicked left a map that is whole: each change is one insert. So poison is nothing to fear.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
