//! Why the catalog refuses.

use oneshelf_values::{ChannelId, Currency, Gtin, PriceListId, ProductId, Sku};

use super::price_list::EntryRefusal;

/// A business refusal. Nothing is changed by a refused request. Line numbers count from 0, as the fields do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the product {product_id} exists")]
    ProductExists { product_id: ProductId },
    #[error("the SKU {sku} exists")]
    SkuExists { sku: Sku },
    #[error("the GTIN {gtin} belongs to another variant")]
    GtinExists { gtin: Gtin },
    #[error("the price list {price_list_id} exists")]
    PriceListExists { price_list_id: PriceListId },
    #[error("the channel {channel} has a price list in {currency}")]
    ChannelListExists { channel: ChannelId, currency: Currency },
    #[error("no variant has the SKU {sku}")]
    UnknownVariant { sku: Sku, line: usize },
    #[error("the partner's price list {price_list_id} does not exist")]
    NoPartnerList { price_list_id: PriceListId },
    #[error("the channel {channel} has no price list")]
    NoChannelList { channel: ChannelId },
    #[error("the price list is in {expected}, not in {found}")]
    CurrencyMismatch {
        expected: Currency,
        found: Currency,
        /// The place among the entries of a publish; `None`: the currency of the whole.
        entry: Option<usize>,
    },
    #[error("prices are taken at an instant that lies ahead")]
    PriceTimeAhead,
    #[error(transparent)]
    Pricing(#[from] oneshelf_pricing::Refusal),
    #[error("entries of the publish are at fault, {} times", .0.len())]
    Entries(Vec<EntryRefusal>),
}
