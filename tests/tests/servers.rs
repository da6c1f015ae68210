//! `deploy/local`: the private servers of a checkout.

use std::path::Path;

use oneshelf_tests::stack::Stack;

const SERVERS: [&str; 4] = ["postgres", "redis", "epmd", "rabbitmq"];

/// Gone, or only waiting to be reaped.
fn ended(pid: &str) -> bool {
    let status = Path::new("/proc").join(pid.trim()).join("status");
    std::fs::read_to_string(status).map_or(true, |status| status.contains("State:\tZ"))
}

#[test]
fn starting_twice_is_harmless_and_stopping_leaves_no_process() {
    let stack = Stack::up();
    let pids = || SERVERS.map(|name| stack.kept(&format!("run/{name}.pid")));
    let (env, first) = (stack.kept("env"), pids());
    stack.local("up", &[]);
    assert_eq!(pids(), first, "the servers that run are left alone");
    assert_eq!(stack.kept("env"), env, "addresses and passwords stay");

    stack.local("down", &[]);
    assert!(first.iter().all(|pid| ended(pid)), "{first:?}");
    stack.local("down", &[]);
    stack.local("up", &[]);
    assert_eq!(stack.kept("env"), env, "and the data is where it was");
    let pids = pids();
    stack.local("down", &["--wipe"]);
    assert!(pids.iter().all(|pid| ended(pid)), "{pids:?}");
    assert!(!stack.has("data") && !stack.has("env"), "nothing of it is left");
}
