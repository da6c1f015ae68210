//! Protobuf to domain and back. Inward, everything that is wrong with a request is told at once; outward cannot fail.

mod fields;
pub(super) mod price_lists;
pub(super) mod products;
pub(super) mod quotes;
