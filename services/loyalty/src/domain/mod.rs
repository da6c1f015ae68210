//! Pure rules: what a document of sale or return is worth in points, and what that does to a member. No IO.

mod document;
mod error;
mod member;

pub use document::{Counted, Delivery, Document, DocumentKind, DocumentLine, Entry, minor_per_point};
pub use error::Refusal;
pub use member::Member;
