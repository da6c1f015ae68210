//! Pure rules: what products, price lists, price books and quotes are. No IO.

pub mod error;
pub mod partner;
pub mod price_list;
pub mod product;

pub use error::Refusal;
