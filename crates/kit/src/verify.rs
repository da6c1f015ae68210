//! The shape of an invariant check's result: each service has its checks in `verify.rs`, `oneshelf verify` prints them.

/// What one check found over a whole table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Check {
    /// The invariant's id in the design, such as `Q1`.
    pub id: &'static str,
    /// What must hold, in words.
    pub what: &'static str,
    /// How many things were looked at.
    pub checked: i64,
    /// How many of them break the invariant.
    pub violations: i64,
    /// The first offenders, at most ten.
    pub offenders: Vec<String>,
}
