//! docs/EVENTS.md against the code: what is published, by whom, and who listens.

use std::{collections::BTreeSet, fs, path::Path};

use oneshelf_kit::consumer::Subscription;
use oneshelf_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;

/// Every service's events: routing key and message.
const PUBLISHED: [(&str, &[(&str, &str)]); 5] = [
    ("catalog", oneshelf_catalog::PUBLISHED),
    ("channels", oneshelf_channels::PUBLISHED),
    ("inventory", oneshelf_inventory::events::PUBLISHED),
    ("orders", oneshelf_orders::events::PUBLISHED),
    ("partners", oneshelf_partners::PUBLISHED),
];

const SUBSCRIPTIONS: [(&str, &[Subscription]); 6] = [
    ("catalog", oneshelf_catalog::consumers::SUBSCRIPTIONS),
    ("channels", oneshelf_channels::consumers::SUBSCRIPTIONS),
    ("inventory", oneshelf_inventory::consumers::SUBSCRIPTIONS),
    ("loyalty", oneshelf_loyalty::consumers::SUBSCRIPTIONS),
    ("orders", oneshelf_orders::consumers::SUBSCRIPTIONS),
    ("partners", oneshelf_partners::consumers::SUBSCRIPTIONS),
];

/// The cells of the table under the heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/EVENTS.md")).expect("the document");
    let section = document.split("\n## ").find(|section| section.starts_with(heading)).expect("the section").to_owned();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn events_md_lists_exactly_what_services_publish() {
    let documented: BTreeSet<Vec<String>> =
        table("What is published").into_iter().map(|row| row[..3].to_vec()).collect();
    let published = PUBLISHED.iter().flat_map(|(service, events)| {
        events.iter().map(|(key, message)| [key, message, service].map(|text| (*text).to_owned()).to_vec())
    });
    assert_eq!(documented, published.collect());
}

#[test]
fn events_md_lists_exactly_the_queues_and_what_they_are_bound_to() {
    let documented: BTreeSet<(String, String)> =
        table("Who listens").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let subscribed = SUBSCRIPTIONS.iter().flat_map(|(_, subscriptions)| subscriptions.iter());
    assert_eq!(documented, subscribed.map(|one| (one.queue.to_owned(), one.routing_keys.join(", "))).collect());
}

#[test]
fn every_event_is_in_the_contract_and_named_by_its_rules() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors of this build");
    for (service, events) in PUBLISHED {
        for (key, message) in events {
            assert!(pool.get_message_by_name(message).is_some(), "{message} is not in the protos");
            assert!(message.starts_with(&format!("oneshelf.{service}.v1.")), "{message} is not of {service}");
            let parts: Vec<&str> = key.split('.').collect();
            assert!(matches!(parts[..], [owner, _, _, "v1"] if owner == service), "{key}: service.aggregate.fact.v1");
        }
    }
    let in_protos: BTreeSet<String> = pool
        .all_messages()
        .filter(|message| message.parent_file().name().ends_with("/events.proto"))
        .map(|message| message.full_name().to_owned())
        // Part of several events, not one itself.
        .filter(|name| name != "oneshelf.orders.v1.SoldLine")
        .collect();
    let published = PUBLISHED.iter().flat_map(|(_, events)| events.iter().map(|(_, message)| (*message).to_owned()));
    assert_eq!(in_protos, published.collect(), "messages of events.proto, and what is published");
}

#[test]
fn every_queue_is_named_after_its_service_and_bound_to_keys_that_exist() {
    let keys: BTreeSet<&str> = PUBLISHED.iter().flat_map(|(_, events)| events.iter().map(|(key, _)| *key)).collect();
    for (service, subscriptions) in SUBSCRIPTIONS {
        for subscription in subscriptions {
            assert!(subscription.queue.starts_with(&format!("{service}.")), "{}", subscription.queue);
            for key in subscription.routing_keys {
                assert!(keys.contains(key), "{} is bound to {key}, which nobody publishes", subscription.queue);
            }
        }
    }
}
