//! Who may import whom inside a service, and that services meet only in the contract. Tests inside the sources are held
//! to the same rules: a unit test of the domain that needs a database is not one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use oneshelf_tests::{SERVICES, imports};

/// Paths that a room may mention: a crate, or one part of it. `std` is for everybody.
struct Room {
    name: &'static str,
    rooms: &'static [&'static str],
    crates: Crates,
}

/// Where the list of what is allowed is short, it is the list that is kept.
enum Crates {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const VALUES: &[&str] =
    &["oneshelf_values", "oneshelf_pricing", "chrono", "chrono_tz", "uuid", "thiserror", "smol_str", "proptest"];

const ROOMS: &[Room] = &[
    Room { name: "domain", rooms: &["domain"], crates: Crates::Only(VALUES) },
    Room {
        name: "store",
        rooms: &["store", "domain"],
        crates: Crates::AllBut(&["oneshelf_proto", "prost", "prost_types", "tonic", "tonic_types", "lapin"]),
    },
    Room {
        name: "events",
        rooms: &["events", "domain", "time", "wire"],
        crates: Crates::AllBut(&[
            "sqlx::query",
            "sqlx::query_as",
            "sqlx::query_scalar",
            "sqlx::PgPool",
            "tonic",
            "tonic_types",
            "lapin",
        ]),
    },
    Room {
        name: "usecases",
        rooms: &["usecases", "domain", "store", "events", "clients", "time"],
        crates: Crates::AllBut(&[
            "tonic",
            "tonic_types",
            "lapin",
            "axum",
            "sqlx::query",
            "sqlx::query_as",
            "sqlx::query_scalar",
            "oneshelf_kit::grpc",
            "oneshelf_kit::status",
            "oneshelf_kit::consumer",
        ]),
    },
    Room { name: "clients", rooms: &["clients", "domain", "time"], crates: Crates::AllBut(&["sqlx", "lapin", "axum"]) },
    // Transport holds no rule and begins no transaction. A record reads the same in answers and events.
    Room {
        name: "grpc",
        rooms: &["grpc", "usecases", "domain", "events", "time", "wire"],
        crates: Crates::AllBut(&["sqlx", "lapin", "oneshelf_kit::outbox"]),
    },
    // The kit begins the transaction, with the inbox in it, and lends its connection.
    Room {
        name: "consumers",
        rooms: &["consumers", "usecases", "domain", "time", "wire"],
        crates: Crates::AllBut(&[
            "sqlx::query",
            "sqlx::query_as",
            "sqlx::query_scalar",
            "sqlx::PgPool",
            "tonic",
            "lapin",
        ]),
    },
    Room {
        name: "jobs",
        rooms: &["jobs", "usecases", "domain"],
        crates: Crates::AllBut(&["sqlx", "tonic", "lapin", "oneshelf_proto"]),
    },
    // Two places that several rooms share: instants, and how records are written on the wire.
    Room { name: "time", rooms: &[], crates: Crates::Only(&["chrono", "prost_types"]) },
    Room { name: "wire", rooms: &["wire"], crates: Crates::AllBut(&["sqlx", "tonic", "lapin", "oneshelf_kit"]) },
];

/// These put the rooms together and may mention all.
const BESIDE: &[&str] = &["lib", "server", "config", "verify"];

fn service_dir(service: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../services").join(service)
}

/// The crates that a manifest names, as they are called in code.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut sections = manifest.lines().scan(false, |inside, line| {
        if let Some(section) = line.strip_prefix('[') {
            *inside = section.contains("dependencies]");
        }
        Some(if *inside { line } else { "" })
    });
    let mut names: Vec<String> = ["core", "alloc"].map(str::to_owned).into();
    for line in &mut sections {
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if !name.is_empty() && !name.starts_with(['[', '#']) {
            names.push(name.replace('-', "_"));
        }
    }
    names
}

fn names(pattern: &str, path: &[String]) -> bool {
    pattern.split("::").enumerate().all(|(at, part)| path.get(at).is_some_and(|named| named == part))
}

fn fault(room: &Room, path: &[String], crates: &[String]) -> Option<&'static str> {
    let first = path.first()?;
    if first == "crate" {
        let other = path.get(1).map(String::as_str);
        return match other {
            // What `lib.rs` itself defines.
            Some("MIGRATOR") => Some("the migrations are for server.rs"),
            Some(other) if room.rooms.contains(&other) => None,
            Some(_) => Some("not a room that it may use"),
            None => Some("a whole crate hides what is used"),
        };
    }
    if !crates.contains(first) {
        return None;
    }
    let allowed = match room.crates {
        Crates::Only(list) => list.iter().any(|pattern| names(pattern, path)),
        Crates::AllBut(list) => !list.iter().any(|pattern| names(pattern, path)),
    };
    (!allowed).then_some("not a crate for this room")
}

#[test]
fn rooms_import_in_their_directions_only() {
    let mut faults = Vec::new();
    let mut looked_at = 0;
    for service in SERVICES {
        let dir = service_dir(service);
        let crates = dependencies(&fs::read_to_string(dir.join("Cargo.toml")).expect("a manifest"));
        for (file, paths) in imports::mentioned(&dir.join("src")) {
            let place = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
            if BESIDE.contains(&place) {
                continue;
            }
            let Some(room) = ROOMS.iter().find(|room| room.name == place) else {
                faults.push(format!("{service}/src/{file}: {place} is no room"));
                continue;
            };
            looked_at += paths.len();
            for path in &paths {
                if let Some(fault) = fault(room, path, &crates) {
                    faults.push(format!("{service}/src/{file}: {} ({fault})", path.join("::")));
                }
            }
        }
    }
    assert!(looked_at > 1_000, "the scanner found next to nothing");
    assert!(faults.is_empty(), "{} imports against their direction:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn services_depend_on_the_contract_and_never_on_each_other() {
    for service in SERVICES {
        let manifest = fs::read_to_string(service_dir(service).join("Cargo.toml")).expect("a manifest");
        // For tests a service may be started beside another, as its real neighbour.
        let (shipped, _) = manifest.split_once("[dev-dependencies]").unwrap_or((&manifest, ""));
        for other in dependencies(shipped) {
            let other = other.trim_start_matches("oneshelf_");
            assert!(!SERVICES.contains(&other), "{service} depends on {other}");
            assert_ne!(other, "testkit", "{service} ships the fixtures of tests");
        }
        for (file, paths) in imports::mentioned(&service_dir(service).join("src")) {
            for path in paths {
                let other = path[0].strip_prefix("oneshelf_").filter(|other| SERVICES.contains(other));
                assert!(other.is_none(), "{service}/src/{file} mentions {}", path.join("::"));
            }
        }
    }
}

#[test]
fn shared_crates_know_no_service() {
    for shared in ["values", "pricing", "kit", "testkit"] {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(shared).join("Cargo.toml");
        for name in dependencies(&fs::read_to_string(manifest).expect("a manifest")) {
            let name = name.trim_start_matches("oneshelf_");
            assert!(!SERVICES.contains(&name), "{shared} depends on {name}");
        }
    }
}

#[test]
fn statements_name_no_other_services_schema() {
    let mut faults = Vec::new();
    for service in SERVICES {
        for (file, text) in imports::sources(&service_dir(service).join("src")) {
            for other in SERVICES.iter().filter(|other| **other != service) {
                for verb in ["FROM", "JOIN", "INTO", "UPDATE"] {
                    if text.contains(&format!("{verb} {other}.")) {
                        faults.push(format!("{service}/src/{file}: {verb} {other}."));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A transaction that begins elsewhere than in the kit has no fence against being dropped halfway (`kit::pg`).
#[test]
fn transactions_begin_in_the_kit_only() {
    for service in SERVICES {
        for (file, text) in imports::sources(&service_dir(service).join("src")) {
            for begin in [".begin().await", ".begin_with("] {
                assert!(!text.contains(begin), "{service}/src/{file}: {begin}");
            }
        }
    }
}
