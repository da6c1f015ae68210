//! The binary's configuration: what is wrong stops it with exit code 64 and is named.

use std::{fs, process::Output};

use oneshelf_tests::stack::{binary, clean};

/// Everything that has no default.
const NEEDED: [(&str, &str); 11] = [
    ("ONESHELF__CATALOG__DATABASE__URL", "postgres://localhost/catalog"),
    ("ONESHELF__INVENTORY__DATABASE__URL", "postgres://localhost/inventory"),
    ("ONESHELF__ORDERS__DATABASE__URL", "postgres://localhost/orders"),
    ("ONESHELF__PARTNERS__DATABASE__URL", "postgres://localhost/partners"),
    ("ONESHELF__LOYALTY__DATABASE__URL", "postgres://localhost/loyalty"),
    ("ONESHELF__CHANNELS__DATABASE__URL", "postgres://localhost/channels"),
    ("ONESHELF__ACCESS__DATABASE__URL", "postgres://localhost/access"),
    ("ONESHELF__ACCESS__PEPPER", "a pepper of thirty-two characters or more"),
    ("ONESHELF__REDIS__URL", "redis://localhost"),
    ("ONESHELF__RABBITMQ__URL", "amqp://localhost"),
    ("ONESHELF__QUOTES__KEY", "a key of thirty-two characters and some more"),
];

/// Runs with what is needed, less `without`, plus `with`.
fn oneshelf(args: &[&str], without: &str, with: &[(&str, &str)]) -> Output {
    let mut command = clean(&binary());
    command.args(args).envs(NEEDED.into_iter().filter(|(name, _)| *name != without)).envs(with.iter().copied());
    command.output().expect("the binary starts")
}

fn refused(output: &Output, named: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains(named), "{named} is not named in: {said}");
}

#[test]
fn a_whole_configuration_is_good() {
    let output = oneshelf(&["config", "check"], "", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_unknown_key_stops_the_start_and_is_named() {
    let unknown = [("ONESHELF__INVENTORY__NONSENSE", "1")];
    refused(&oneshelf(&["config", "check"], "", &unknown), "`nonsense`");
    // Before any port is opened or server asked.
    refused(&oneshelf(&["serve", "all"], "", &unknown), "`nonsense`");
}

#[test]
fn a_missing_key_stops_the_start_and_is_named() {
    for (variable, key) in [
        ("ONESHELF__INVENTORY__DATABASE__URL", "inventory.database.url"),
        ("ONESHELF__ACCESS__PEPPER", "access.pepper"),
        ("ONESHELF__QUOTES__KEY", "quotes.key"),
    ] {
        refused(&oneshelf(&["config", "check"], variable, &[]), key);
    }
}

#[test]
fn a_process_needs_the_databases_of_its_own_services_only() {
    let others = ["CATALOG", "ORDERS", "PARTNERS", "LOYALTY", "CHANNELS"];
    let run = |service: &str| {
        let mut command = clean(&binary());
        command.args(["serve", service]).envs(
            NEEDED
                .into_iter()
                .filter(|(name, _)| !others.iter().any(|other| *name == format!("ONESHELF__{other}__DATABASE__URL"))),
        );
        // Nobody is there: the process gets as far as asking.
        command.env("ONESHELF__ACCESS__DATABASE__URL", "postgres://127.0.0.1:1/access");
        command.env("ONESHELF__INVENTORY__DATABASE__URL", "postgres://127.0.0.1:1/inventory");
        command.env("ONESHELF__SERVER__LISTEN", "127.0.0.1:0");
        command.env("ONESHELF__SERVER__ADMIN_LISTEN", "127.0.0.1:0");
        command.output().expect("the binary starts")
    };
    assert_eq!(run("inventory").status.code(), Some(1));
    refused(&run("catalog"), "catalog.database.url");
}

#[test]
fn a_bad_value_stops_the_start_and_is_named() {
    for (variable, value, key) in [
        ("ONESHELF__SERVER__LISTEN", "nowhere", "server.listen"),
        ("ONESHELF__INVENTORY__WRITERS", "many", "inventory.writers"),
        ("ONESHELF__INVENTORY__WRITERS", "1000", "inventory.writers"),
        ("ONESHELF__ORDERS__PARK_AFTER", "0", "orders.park_after"),
        ("ONESHELF__QUOTES__KEY", "short", "quotes.key"),
    ] {
        refused(&oneshelf(&["config", "check"], "", &[(variable, value)]), key);
    }
}

#[test]
fn a_secret_may_come_from_a_file_which_must_be_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("key");
    fs::write(&file, "a key of thirty-two characters in a file\n").expect("the file is written");
    let file = file.to_str().expect("a plain path");
    let variable = "ONESHELF__QUOTES__KEY_FILE";
    let output = oneshelf(&["config", "check"], "ONESHELF__QUOTES__KEY", &[(variable, file)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let nowhere = oneshelf(&["config", "check"], "ONESHELF__QUOTES__KEY", &[(variable, "/nowhere/key")]);
    refused(&nowhere, variable);
    // Both at once: which one counts would be a guess.
    refused(&oneshelf(&["config", "check"], "", &[(variable, file)]), "ONESHELF__QUOTES__KEY");
}

#[test]
fn no_secret_is_printed_with_its_fault() {
    for (variable, value, key) in [
        ("ONESHELF__ACCESS__PEPPER", "hush-hush", "access.pepper"),
        ("ONESHELF__QUOTES__KEY", "hush-hush", "quotes.key"),
        ("ONESHELF__CATALOG__DATABASE__URL", "nonsense://me:hush-hush@", "catalog.database.url"),
        ("ONESHELF__REDIS__URL", "nonsense://:hush-hush@", "redis.url"),
        ("ONESHELF__RABBITMQ__URL", "nonsense://me:hush-hush@", "rabbitmq.url"),
    ] {
        let output = oneshelf(&["config", "check"], "", &[(variable, value)]);
        refused(&output, key);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("hush-hush"), "{said}");
    }
}
