//! The loyalty programme: members, and the points that sales earn them and returns take back.
//!
//! Owns the schema `loyalty`: members, the documents that points are counted from with their lines, and the entries of
//! the statement.
//!
//! | invariant | kept by |
//! |---|---|
//! | balance = Σ entries; earned = Σ points of documents above zero | [`domain`], under the lock of the member's row; [`verify`] |
//! | each order line earns once, whatever is delivered again | inbox, and the primary key of `document_lines` |
//! | a document's points = its total in whole major units, cut towards zero | `domain::document` |
//!
//! Points come by events of orders, in groups (`usecases/count_documents.rs`). A member that a sale names before it is
//! enrolled keeps its points and is adopted when it is; until then nobody sees it.

pub mod config;
pub mod consumers;
pub mod server;
pub mod verify;

mod domain;
mod grpc;
mod store;
mod usecases;

pub use server::MIGRATOR;
