//! The statements on the tables of this crate, which stand in each service's own schema.
//!
//! The tables are the same everywhere (`crates/kit/sql/*.sql`), only the schema's name differs, and it is known when
//! the process starts, not when this crate is compiled. So this is the one place where `sqlx::query!` cannot check a
//! statement: the texts are built once per schema from constants and a validated name, and tests run each of them.

use std::{fmt, sync::Arc};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use tokio::sync::Notify;

use crate::{idempotency, inbox, outbox};

/// A service's schema and the prepared texts of the kit's statements on it. Make it once per service and copy it.
#[derive(Clone, Copy)]
pub struct Schema(&'static Inner);

struct Inner {
    name: &'static str,
    idempotency: idempotency::Statements,
    inbox: inbox::Statements,
    outbox: outbox::Statements,
    appended: Notify,
}

impl Schema {
    /// Builds the statements. They live as long as the process, which is why a schema is made once and copied.
    ///
    /// # Panics
    /// When `name` is not a plain lower-case identifier: it is a constant of the program, so that is a bug.
    pub fn new(name: &'static str) -> Self {
        assert!(
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.len() <= 63
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
            "{name:?} is not a schema name"
        );
        Self(Box::leak(Box::new(Inner {
            name,
            idempotency: idempotency::Statements::new(name),
            inbox: inbox::Statements::new(name),
            outbox: outbox::Statements::new(name),
            appended: Notify::new(),
        })))
    }

    /// The schema's name, which is also the service's.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    pub(crate) fn idempotency(self) -> &'static idempotency::Statements {
        &self.0.idempotency
    }

    pub(crate) fn inbox(self) -> &'static inbox::Statements {
        &self.0.inbox
    }

    pub(crate) fn outbox(self) -> &'static outbox::Statements {
        &self.0.outbox
    }

    /// Wakes the relay of this process; see [`crate::relay`] on why before the commit is good enough.
    pub(crate) fn appended(self) -> &'static Notify {
        &self.0.appended
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.0.name).finish()
    }
}

/// One statement for one schema. Safe: `text` is a constant of this crate and `name` was validated by [`Schema::new`].
pub(crate) fn statement(name: &str, text: &str) -> SqlStr {
    AssertSqlSafe(Arc::<str>::from(text.replace("{schema}", name))).into_sql_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_carry_sql_is_refused() {
        for name in ["", "Orders", "a b", "a;DROP", "a\"", "1a", "é"] {
            assert!(std::panic::catch_unwind(|| Schema::new(name)).is_err(), "{name:?}");
        }
        assert_eq!(Schema::new("sales_ops2").name(), "sales_ops2");
    }
}
