//! The ledger as a file: CSV, or a GS1 EPCIS 2.0 document of ObjectEvents in JSON-LD.
//!
//! What an entry becomes in EPCIS (terms of the Core Business Vocabulary 2.0):
//!
//! | from → to | action, bizStep | disposition |
//! |---|---|---|
//! | supplier → shelf | OBSERVE receiving | by bucket |
//! | customer → shelf | OBSERVE receiving | returned |
//! | in transit, consignment → shelf | OBSERVE receiving | by bucket |
//! | production → shelf | ADD creating_class_instance | by bucket |
//! | found → shelf | OBSERVE cycle_counting for a count, else stock_taking | by bucket |
//! | shelf → customer | OBSERVE retail_selling at a till, else shipping | retail_sold |
//! | shelf → supplier | OBSERVE shipping | returned |
//! | shelf → in transit, consignment | OBSERVE shipping | in_transit |
//! | supplier → consignment, and back | OBSERVE accepting: units that changed their owner | sellable_accessible, returned |
//! | shelf → production | DELETE decommissioning | inactive |
//! | shelf → loss | DELETE destroying when written off, DELETE cycle_counting for a count, else DELETE removing | destroyed, damaged, unknown |
//! | bucket → bucket | OBSERVE stocking, inspecting, holding | by bucket |
//!
//! By bucket: sellable is sellable_accessible, damaged is damaged, quarantine is non_sellable_other. Account names and
//! the reason go along as extensions of ours, since the vocabulary is coarser than the ledger. A code of 12 to 14 digits
//! with the right check digit is taken for the GTIN it is (8 digits may as well be an operator's own). A location goes by its
//! GLN, or by its code where that has the form of one. All others are named as URNs of ours.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use oneshelf_proto::inventory::v1::ExportFormat;
use oneshelf_values::Gtin;
use serde_json::{Map, Value, json};

use crate::usecases::export_movements::StoredMovement;

const COLUMNS: [&str; 14] = [
    "sequence",
    "movement_id",
    "line",
    "sku",
    "source",
    "source_location_id",
    "target",
    "target_location_id",
    "owner_id",
    "quantity",
    "reason",
    "reference",
    "effective_time",
    "record_time",
];

/// Writes one file, part by part.
pub struct FileWriter {
    format: ExportFormat,
    began: bool,
    empty: bool,
}

impl FileWriter {
    /// `resumed`: the file has been begun before, and has entries.
    pub fn new(format: ExportFormat, resumed: bool) -> Self {
        Self { format, began: resumed, empty: !resumed }
    }

    /// The next entries, after what the file begins with.
    pub fn part(&mut self, entries: &[StoredMovement], now: DateTime<Utc>) -> Vec<u8> {
        let begins = !std::mem::replace(&mut self.began, true);
        match self.format {
            ExportFormat::Epcis => self.events(entries, begins, now),
            ExportFormat::Csv | ExportFormat::Unspecified => csv(entries, begins),
        }
    }

    /// What the file ends with.
    pub fn end(&self) -> Vec<u8> {
        match self.format {
            ExportFormat::Epcis => b"\n]}}\n".to_vec(),
            ExportFormat::Csv | ExportFormat::Unspecified => Vec::new(),
        }
    }

    fn events(&mut self, entries: &[StoredMovement], begins: bool, now: DateTime<Utc>) -> Vec<u8> {
        let mut content = String::new();
        if begins {
            let context = json!([
                "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
                { "oneshelf": "urn:oneshelf:epcis:" },
            ]);
            let _ = write!(
                content,
                r#"{{"@context":{context},"type":"EPCISDocument","schemaVersion":"2.0","creationDate":"{}","epcisBody":{{"eventList":["#,
                instant(now)
            );
        }
        for entry in entries {
            content.push_str(if std::mem::take(&mut self.empty) { "\n" } else { ",\n" });
            content.push_str(&event(entry).to_string());
        }
        content.into_bytes()
    }
}

fn csv(entries: &[StoredMovement], begins: bool) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(entries.len() * 160));
    if begins {
        // Writing to memory cannot fail, and every record has as many fields.
        let _ = writer.write_record(COLUMNS);
    }
    for entry in entries {
        let record: [&str; COLUMNS.len()] = [
            &entry.entry_id.to_string(),
            &entry.movement_id.to_string(),
            &entry.line_no.to_string(),
            &entry.sku,
            &entry.source,
            entry.source_location_id.as_deref().unwrap_or_default(),
            &entry.target,
            entry.target_location_id.as_deref().unwrap_or_default(),
            entry.owner_id.as_deref().unwrap_or_default(),
            &entry.quantity.to_string(),
            &entry.reason,
            &entry.reference,
            &instant(entry.effective_at),
            &instant(entry.recorded_at),
        ];
        let _ = writer.write_record(record);
    }
    writer.into_inner().unwrap_or_default()
}

/// One entry as an ObjectEvent.
fn event(entry: &StoredMovement) -> Value {
    let meaning = meaning(&entry.source, &entry.target, &entry.reason);
    let mut event = Map::new();
    event.insert("type".into(), json!("ObjectEvent"));
    event.insert("eventID".into(), json!(format!("urn:oneshelf:ledger-entry:{}", entry.entry_id)));
    event.insert("eventTime".into(), json!(instant(entry.effective_at)));
    event.insert("recordTime".into(), json!(instant(entry.recorded_at)));
    event.insert("eventTimeZoneOffset".into(), json!("+00:00"));
    event.insert("action".into(), json!(meaning.action));
    event.insert("bizStep".into(), json!(meaning.biz_step));
    event.insert("disposition".into(), json!(meaning.disposition));
    if let Some(location) = entry.source_location_id.as_ref().or(entry.target_location_id.as_ref()) {
        let id = location_uri(location, entry.gln.as_deref());
        event.insert("readPoint".into(), json!({ "id": id }));
        event.insert("bizLocation".into(), json!({ "id": id }));
    }
    event.insert("quantityList".into(), json!([{ "epcClass": class_uri(&entry.sku), "quantity": entry.quantity }]));
    if !entry.reference.is_empty() {
        let reference = format!("urn:oneshelf:reference:{}", encoded(&entry.reference));
        event.insert("bizTransactionList".into(), json!([{ "bizTransaction": reference }]));
    }
    if let Some(owner) = &entry.owner_id {
        let party = format!("urn:oneshelf:partner:{}", encoded(owner));
        if entry.source == "consignment" {
            event.insert("sourceList".into(), json!([{ "type": "owning_party", "source": party }]));
        } else {
            event.insert("destinationList".into(), json!([{ "type": "owning_party", "destination": party }]));
        }
    }
    event.insert("oneshelf:source".into(), json!(entry.source));
    event.insert("oneshelf:target".into(), json!(entry.target));
    event.insert("oneshelf:reason".into(), json!(entry.reason));
    event.insert("oneshelf:movement".into(), json!(format!("{}/{}", entry.movement_id, entry.line_no)));
    Value::Object(event)
}

#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    action: &'static str,
    biz_step: &'static str,
    disposition: &'static str,
}

fn meaning(source: &str, target: &str, reason: &str) -> Meaning {
    let by_bucket = match target {
        "damaged" => "damaged",
        "quarantine" => "non_sellable_other",
        _ => "sellable_accessible",
    };
    let is_bucket = |account: &str| matches!(account, "sellable" | "damaged" | "quarantine");
    let (action, biz_step, disposition) = match (source, target) {
        ("supplier", "consignment") => ("OBSERVE", "accepting", by_bucket),
        ("consignment", "supplier") => ("OBSERVE", "accepting", "returned"),
        ("customer", _) => ("OBSERVE", "receiving", "returned"),
        ("supplier" | "in_transit" | "consignment", target) if is_bucket(target) => ("OBSERVE", "receiving", by_bucket),
        ("production", _) => ("ADD", "creating_class_instance", by_bucket),
        ("found", _) if reason == "adjust_count" => ("OBSERVE", "cycle_counting", by_bucket),
        ("found", _) => ("OBSERVE", "stock_taking", by_bucket),
        (_, "customer") if reason == "till_sale" => ("OBSERVE", "retail_selling", "retail_sold"),
        (_, "customer") => ("OBSERVE", "shipping", "retail_sold"),
        (_, "supplier") => ("OBSERVE", "shipping", "returned"),
        (_, "in_transit" | "consignment") => ("OBSERVE", "shipping", "in_transit"),
        (_, "production") => ("DELETE", "decommissioning", "inactive"),
        (_, "loss") => match reason {
            "adjust_write_off" => ("DELETE", "destroying", "destroyed"),
            "adjust_damaged" => ("DELETE", "removing", "damaged"),
            "adjust_count" => ("DELETE", "cycle_counting", "unknown"),
            _ => ("DELETE", "removing", "unknown"),
        },
        (_, "damaged") => ("OBSERVE", "inspecting", by_bucket),
        (_, "quarantine") => ("OBSERVE", "holding", by_bucket),
        (_, "sellable") => ("OBSERVE", "stocking", by_bucket),
        _ => ("OBSERVE", "other", "unknown"),
    };
    Meaning { action, biz_step, disposition }
}

fn class_uri(sku: &str) -> String {
    match sku.parse::<Gtin>() {
        Ok(gtin) if gtin.digits() >= 12 => format!("https://id.gs1.org/01/{}", gtin.canonical()),
        _ => format!("urn:oneshelf:sku:{}", encoded(sku)),
    }
}

/// The location's GLN; else its code, where that has 13 digits and the check digit of one. As a Digital Link, which EPCIS
/// 2.0 takes for an SGLN: the URN `urn:epc:id:sgln` would need to know how many of the digits are the company's prefix,
/// which the number does not say.
fn location_uri(location: &str, gln: Option<&str>) -> String {
    match (gln, location.parse::<Gtin>()) {
        (Some(gln), _) => format!("https://id.gs1.org/414/{gln}"),
        (None, Ok(number)) if number.digits() == 13 => format!("https://id.gs1.org/414/{location}"),
        _ => format!("urn:oneshelf:location:{}", encoded(location)),
    }
}

/// For a place in a URN: all but letters, digits and `-._~` as percent codes.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(sku: &str, source: &str, target: &str, reason: &str) -> StoredMovement {
        let at = "2026-11-23T10:00:00Z".parse().unwrap();
        let place = |account: &str| ["sellable", "damaged", "quarantine"].contains(&account).then(|| "WH".to_owned());
        StoredMovement {
            entry_id: 7,
            movement_id: Uuid::nil(),
            line_no: 2,
            sku: sku.to_owned(),
            source: source.to_owned(),
            source_location_id: place(source),
            target: target.to_owned(),
            target_location_id: place(target),
            owner_id: None,
            quantity: 3,
            reason: reason.to_owned(),
            reference: "note \"7\", page 1".to_owned(),
            effective_at: at,
            recorded_at: at,
            gln: None,
            lot: None,
        }
    }

    #[test]
    fn every_way_of_the_table_has_its_step() {
        for (source, target, reason, expected) in [
            ("supplier", "sellable", "receipt", ("OBSERVE", "receiving", "sellable_accessible")),
            ("supplier", "damaged", "receipt", ("OBSERVE", "receiving", "damaged")),
            ("customer", "quarantine", "return", ("OBSERVE", "receiving", "returned")),
            ("in_transit", "sellable", "transfer", ("OBSERVE", "receiving", "sellable_accessible")),
            ("consignment", "sellable", "consignment_in", ("OBSERVE", "receiving", "sellable_accessible")),
            ("supplier", "consignment", "consignment_sold", ("OBSERVE", "accepting", "sellable_accessible")),
            ("consignment", "supplier", "consignment_returned", ("OBSERVE", "accepting", "returned")),
            ("production", "sellable", "production_output", ("ADD", "creating_class_instance", "sellable_accessible")),
            ("found", "sellable", "adjust_count", ("OBSERVE", "cycle_counting", "sellable_accessible")),
            ("found", "sellable", "adjust_found", ("OBSERVE", "stock_taking", "sellable_accessible")),
            ("sellable", "customer", "till_sale", ("OBSERVE", "retail_selling", "retail_sold")),
            ("sellable", "customer", "sale", ("OBSERVE", "shipping", "retail_sold")),
            ("sellable", "supplier", "supplier_return", ("OBSERVE", "shipping", "returned")),
            ("sellable", "in_transit", "transfer", ("OBSERVE", "shipping", "in_transit")),
            ("sellable", "production", "production_input", ("DELETE", "decommissioning", "inactive")),
            ("sellable", "loss", "adjust_write_off", ("DELETE", "destroying", "destroyed")),
            ("sellable", "loss", "adjust_count", ("DELETE", "cycle_counting", "unknown")),
            ("sellable", "loss", "adjust_lost", ("DELETE", "removing", "unknown")),
            ("sellable", "quarantine", "condition_change", ("OBSERVE", "holding", "non_sellable_other")),
            ("quarantine", "sellable", "condition_change", ("OBSERVE", "stocking", "sellable_accessible")),
        ] {
            let found = meaning(source, target, reason);
            assert_eq!((found.action, found.biz_step, found.disposition), expected, "{source} to {target}, {reason}");
        }
    }

    #[test]
    fn what_has_a_global_number_goes_by_it() {
        assert_eq!(class_uri("4006381333931"), "https://id.gs1.org/01/04006381333931");
        assert_eq!(class_uri("4006381333932"), "urn:oneshelf:sku:4006381333932", "the check digit is wrong");
        assert_eq!(class_uri("96385074"), "urn:oneshelf:sku:96385074", "may be an operator's own");
        assert_eq!(class_uri("A/B 1"), "urn:oneshelf:sku:A%2FB%201");
        assert_eq!(location_uri("0614141000012", None), "https://id.gs1.org/414/0614141000012");
        assert_eq!(location_uri("WH-UK", Some("4012345000009")), "https://id.gs1.org/414/4012345000009");
        assert_eq!(location_uri("0614141000012", Some("4012345000009")), "https://id.gs1.org/414/4012345000009");
        assert_eq!(location_uri("WH-UK", None), "urn:oneshelf:location:WH-UK");
    }

    #[test]
    fn the_parts_of_a_document_are_one_json_text() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        for parts in [vec![vec![]], vec![vec![entry("A", "supplier", "sellable", "receipt")]; 3]] {
            let count: usize = parts.iter().map(Vec::len).sum();
            let mut writer = FileWriter::new(ExportFormat::Epcis, false);
            let mut content: Vec<u8> = parts.iter().flat_map(|part| writer.part(part, now)).collect();
            content.extend(writer.end());
            let document: Value = serde_json::from_slice(&content).unwrap();
            assert_eq!(document["type"], "EPCISDocument");
            let events = document["epcisBody"]["eventList"].as_array().unwrap();
            assert_eq!(events.len(), count);
            for event in events {
                assert_eq!(event["quantityList"][0]["quantity"], 3);
                assert_eq!(event["eventTime"], "2026-11-23T10:00:00.000000Z");
            }
        }
    }

    #[test]
    fn a_line_of_csv_survives_quotes_and_commas() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        let mut writer = FileWriter::new(ExportFormat::Csv, false);
        let mut content = writer.part(&[entry("A", "supplier", "sellable", "receipt")], now);
        content.extend(writer.part(&[entry("B", "sellable", "loss", "adjust_lost")], now));
        let mut reader = csv::Reader::from_reader(&*content);
        assert_eq!(reader.headers().unwrap(), COLUMNS.as_slice());
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 2);
        assert_eq!((&records[0][3], &records[0][11]), ("A", "note \"7\", page 1"));
        assert_eq!((&records[1][4], &records[1][5], &records[1][6], &records[1][7]), ("sellable", "WH", "loss", ""));
    }
}
