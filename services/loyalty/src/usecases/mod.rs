//! One file per verb.

mod batch_create_members;
mod count_documents;
mod error;
mod get_member;
mod list_members;
mod list_points_entries;

use oneshelf_kit::schema::Schema;
use oneshelf_values::Clock;
use sqlx::PgPool;

pub(crate) use count_documents::count_documents;
pub use error::Error;

/// The use cases of this service. Cheap to clone.
#[derive(Clone)]
pub struct Loyalty {
    pool: PgPool,
    schema: Schema,
    clock: Clock,
}

impl Loyalty {
    pub fn new(pool: PgPool, schema: Schema, clock: Clock) -> Self {
        Self { pool, schema, clock }
    }
}
