//! The addresses of the private servers.

use std::{collections::HashMap, path::Path, sync::LazyLock};

static LOCAL: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/env");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
});

/// A variable of the environment, or of `.local/env`.
///
/// # Panics
/// When neither has it: then there are no servers to test with.
pub(crate) fn variable(name: &str) -> String {
    std::env::vars()
        .find_map(|(key, value)| (key == name).then_some(value))
        .or_else(|| LOCAL.get(name).cloned())
        .unwrap_or_else(|| panic!("{name} is not set and .local/env has it not: run deploy/local/up"))
}
