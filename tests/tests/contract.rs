//! The contract against its tests and its documents: walks the descriptors, so that what is added there cannot be
//! forgotten here.

use std::{collections::BTreeSet, fs, path::Path};

use oneshelf_proto::FILE_DESCRIPTOR_SET;
use oneshelf_tests::{SERVICES, imports};
use prost_reflect::{DescriptorPool, FileDescriptor, MethodDescriptor};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors of this build")
}

/// `oneshelf.orders.v1` → `orders`.
fn service_of(package: &str) -> &str {
    package.split('.').nth(1).unwrap_or_default()
}

fn rpcs(pool: &DescriptorPool) -> Vec<(String, MethodDescriptor)> {
    let all = pool.services().flat_map(|service| {
        let name = service_of(service.package_name()).to_owned();
        service.methods().map(move |method| (name.clone(), method)).collect::<Vec<_>>()
    });
    all.collect()
}

/// The comment above what `path` points at, as `SourceCodeInfo` numbers it.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref().expect("descriptors with their comments");
    let place = info.location.iter().find(|location| location.path == path);
    place.map(|location| location.leading_comments().trim().to_owned()).unwrap_or_default()
}

/// `GetStockAsOf` → `get_stock_as_of`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Names of the functions under `#[tokio::test]` and the like.
fn test_names(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.contains("test");
        } else if let Some((_, rest)) = line.split_once("fn ") {
            if is_test {
                names.extend(rest.split('(').next().map(str::to_owned));
            }
            is_test = false;
        } else if !line.starts_with("//") {
            is_test = false;
        }
    }
    names
}

#[test]
fn every_rpc_has_a_test_of_its_name_on_a_real_server() {
    let pool = pool();
    let mut missing = Vec::new();
    let rpcs = rpcs(&pool);
    assert!(rpcs.len() > 50, "the walk found next to nothing");
    for service in SERVICES {
        let tests: BTreeSet<String> = imports::sources(&root().join("services").join(service).join("tests/it"))
            .iter()
            .flat_map(|(_, text)| test_names(text))
            .collect();
        for (_, rpc) in rpcs.iter().filter(|(owner, _)| owner == service) {
            if !tests.iter().any(|test| test.contains(&snake_case(rpc.name()))) {
                missing.push(format!("{}: no test in services/{service}/tests/it names it", rpc.full_name()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_rpc_says_what_it_does() {
    let pool = pool();
    let silent: Vec<String> = rpcs(&pool)
        .into_iter()
        .filter(|(_, rpc)| comment(&rpc.parent_file(), rpc.path()).is_empty())
        .map(|(_, rpc)| rpc.full_name().to_owned())
        .collect();
    assert!(silent.is_empty(), "no comment in the proto: {silent:?}");
}

/// The cells of the rows that stand under the heading, without their code marks.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let section = document.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn errors_md_lists_every_reason_as_the_proto_explains_it() {
    let document = fs::read_to_string(root().join("docs/ERRORS.md")).expect("docs/ERRORS.md");
    let pool = pool();
    for service in SERVICES {
        let reasons = pool.get_enum_by_name(&format!("oneshelf.{service}.v1.ErrorReason")).expect("the service's enum");
        let mut wanted = Vec::new();
        for value in reasons.values().filter(|value| value.number() != 0) {
            let reason = value.name().strip_prefix("ERROR_REASON_").expect("the enum's prefix").to_owned();
            let comment =
                comment(&reasons.parent_file(), value.path()).lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let (named, meaning) = comment.split_once(": ").unwrap_or_default();
            assert_eq!(named, reason, "the comment of {} begins with its reason", value.full_name());
            let code = [
                "INVALID_ARGUMENT",
                "NOT_FOUND",
                "ALREADY_EXISTS",
                "FAILED_PRECONDITION",
                "PERMISSION_DENIED",
                "ABORTED",
            ];
            assert!(
                code.iter().any(|code| meaning.contains(code)),
                "{} says which code it comes with",
                value.full_name()
            );
            wanted.push(vec![reason, meaning.replace('`', "")]);
        }
        assert_eq!(table(&document, &format!("{service}.oneshelf")), wanted, "docs/ERRORS.md, {service}.oneshelf");
    }
}
