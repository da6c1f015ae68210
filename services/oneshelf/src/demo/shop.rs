//! The demo shop, made up from a seed: the same seed makes the same shop.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

pub const WAREHOUSE: &str = "WH-1";
pub const SHOPS: [&str; 3] = ["SHOP-1", "SHOP-2", "SHOP-3"];
pub const WEB_CHANNELS: [&str; 2] = ["WEB", "MARKET"];
pub const DEALER_CHANNEL: &str = "DEALERS";
pub const DEALERS: [(&str, &str); 4] = [
    ("D-NORTH", "North Trading"),
    ("D-EAST", "Eastgate Supplies"),
    ("D-SOUTH", "Southern Cross Retail"),
    ("D-WEST", "Westbourne & Co"),
];
pub const CURRENCY: &str = "GBP";
pub const SKUS: usize = 2_000;
pub const MEMBERS: usize = 500;

const THINGS: [(&str, &str); 12] = [
    ("MUG", "mug"),
    ("BAG", "shoulder bag"),
    ("LMP", "table lamp"),
    ("CUS", "cushion"),
    ("CLK", "wall clock"),
    ("TRY", "serving tray"),
    ("VAS", "vase"),
    ("RUG", "rug"),
    ("JUG", "water jug"),
    ("BLK", "blanket"),
    ("FRM", "picture frame"),
    ("CND", "candle"),
];
const LOOKS: [&str; 10] = ["red", "blue", "linen", "oak", "copper", "striped", "white", "slate", "moss green", "rose"];

/// One article: SKU, words, and what it costs in pence.
#[derive(Debug, Clone)]
pub struct Article {
    pub sku: String,
    pub title: String,
    pub pence: i64,
}

/// The articles of a seed.
pub fn articles(seed: u64) -> Vec<Article> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..SKUS)
        .map(|number| {
            let (code, thing) = THINGS[number % THINGS.len()];
            let look = LOOKS.choose(&mut rng).unwrap_or(&LOOKS[0]);
            Article {
                sku: format!("{code}-{:04}", number + 1),
                title: format!("{look} {thing}"),
                pence: rng.random_range(3..=120) * 100 - 1,
            }
        })
        .collect()
}

/// Every channel: id, kind as in the proto, title, locations.
pub fn channels() -> Vec<(&'static str, oneshelf_proto::channels::v1::ChannelKind, String, Vec<&'static str>)> {
    use oneshelf_proto::channels::v1::ChannelKind;
    let mut channels = vec![
        ("WEB", ChannelKind::Web, "Own web shop".to_owned(), vec![WAREHOUSE]),
        ("MARKET", ChannelKind::Marketplace, "Marketplace".to_owned(), vec![WAREHOUSE]),
        (DEALER_CHANNEL, ChannelKind::Dealer, "Dealer portal".to_owned(), vec![WAREHOUSE]),
    ];
    channels.extend(SHOPS.map(|shop| (shop, ChannelKind::Store, format!("Store {shop}"), vec![shop])));
    channels
}

pub fn price_list(channel: &str) -> String {
    format!("{channel}-{CURRENCY}")
}

pub fn member(number: usize) -> String {
    format!("M-{:05}", number + 1)
}
