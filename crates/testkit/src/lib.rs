//! Fixtures for tests that run against the real thing: nothing of ours is mocked.
//!
//! The servers are those of `deploy/local/up`; their addresses come from the environment, or else from `.local/env`,
//! so a plain `cargo test` finds them. Each test has its own database and its own names in the broker, so all tests
//! run side by side, and both are gone when the fixture is dropped, also after a panic.
//!
//! | need | fixture |
//! |---|---|
//! | a database with migrations applied | [`Database`] |
//! | exchanges and queues of one's own | [`Rabbit`] |
//! | keys in Redis of one's own | [`redis_config`] |
//! | a time that stands still | [`clock`] |
//! | waiting without sleeping | [`wait_for`] |
//! | one or more services on a port, and clients with a key | [`Server`] |
//! | a network that breaks on command | [`Proxy`] |
//! | every field of every request spoilt in turn | [`bad_input`] |

pub mod bad_input;
mod database;
mod environment;
mod proxy;
mod rabbit;
mod server;
mod wait;

pub use database::{Database, create_kit_tables};
pub use proxy::Proxy;
pub use rabbit::{Rabbit, redis_config};
pub use server::{ServeTest, Server};
pub use wait::wait_for;

use oneshelf_values::Clock;

/// A manual clock at 2026-11-23 10:00 UTC, a Monday.
pub fn clock() -> Clock {
    Clock::manual("2026-11-23T10:00:00Z".parse().expect("the text is an instant"))
}

/// Runs a future to its end from `Drop`, which may stand on a runtime's thread: on a thread and runtime of its own.
fn block_on<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let cleanup = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime for cleaning up").block_on(future);
    });
    // A cleanup that fails leaves rubbish, which must not hide why the test failed.
    let _ = cleanup.join();
}
