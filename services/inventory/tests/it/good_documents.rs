//! Good requests about documents, policies, bulk and the ledger, with what each needs to be accepted: the walk of
//! `bad_input` spoils them field by field. Each has a document, SKU or location of its own, so that all of them do
//! together.

use oneshelf_proto::inventory::v1 as pb;
use oneshelf_testkit::bad_input::Good;
use prost::Message as _;
use prost_types::{FieldMask, Timestamp};

use crate::support::{Shelf, location};

const DAY: &str = "2031-01-10";

fn wh() -> String {
    "WH".to_owned()
}

fn yesterday(shelf: &Shelf) -> Timestamp {
    Timestamp { seconds: shelf.clock.now().timestamp() - 86_400, nanos: 1 }
}

fn units(sku: &str, quantity: i64) -> Vec<pb::TransferQuantity> {
    vec![pb::TransferQuantity { sku: sku.to_owned(), quantity }]
}

/// Everything that an operator may say about a location.
pub fn whole_location(location_id: &str) -> pb::Location {
    pb::Location {
        gln: "4006381333931".to_owned(),
        coordinates: Some(pb::Coordinates { latitude_micro_degrees: 51_507_400, longitude_micro_degrees: -127_800 }),
        country_code: "GB".to_owned(),
        zone_id: "SOUTH".to_owned(),
        calendar: Some(pb::OpeningCalendar {
            time_zone: "Europe/London".to_owned(),
            hours: vec![pb::OpeningHours {
                weekday: pb::Weekday::Monday.into(),
                opens_minute: 540,
                closes_minute: 1_020,
            }],
            closed_days: vec!["2031-12-25".to_owned()],
            ship_cut_off_minute: Some(900),
        }),
        abilities: Some(pb::LocationAbilities { abilities: vec![pb::LocationAbility::Pickup.into()] }),
        daily_order_capacity: Some(100),
        priority: 3,
        owner_id: "D-7".to_owned(),
        ..location(location_id, pb::LocationKind::Store, true)
    }
}

const OF_LOCATION: &[&str] = &[
    "location.gln",
    "location.coordinates",
    "location.coordinates.latitude_micro_degrees",
    "location.coordinates.longitude_micro_degrees",
    "location.country_code",
    "location.zone_id",
    "location.calendar",
    "location.calendar.hours",
    "location.calendar.hours.opens_minute",
    "location.calendar.closed_days",
    "location.calendar.ship_cut_off_minute",
    "location.abilities",
    "location.abilities.abilities",
    "location.daily_order_capacity",
    "location.priority",
    "location.owner_id",
];
const OF_UPDATE: &[&str] = &[
    "location.gln",
    "location.coordinates",
    "location.coordinates.latitude_micro_degrees",
    "location.coordinates.longitude_micro_degrees",
    "location.country_code",
    "location.zone_id",
    "location.calendar",
    "location.calendar.hours",
    "location.calendar.hours.opens_minute",
    "location.calendar.closed_days",
    "location.calendar.ship_cut_off_minute",
    "location.abilities",
    "location.abilities.abilities",
    "location.daily_order_capacity",
    "location.priority",
    "location.owner_id",
    "update_mask.paths",
    "expected_version",
];

macro_rules! location_rules {
    ($good:expr, $optional:expr) => {
        $good
            .optional($optional)
            .ignored(&[
                "location.version",
                "location.create_time",
                "location.state",
                "location.update_time",
                "location.oversell_facts",
            ])
            .signed(&["location.coordinates.latitude_micro_degrees", "location.coordinates.longitude_micro_degrees"])
            .told_as(&[
                ("location.coordinates.latitude_micro_degrees", "location.coordinates"),
                ("location.coordinates.longitude_micro_degrees", "location.coordinates"),
            ])
    };
}

pub async fn locations(shelf: &mut Shelf) -> Vec<Good> {
    for (id, active) in [("ON", true), ("OFF", false), ("ENDED", false), ("EDITED", true)] {
        shelf.add_location(id, pb::LocationKind::Store, true).await;
        if !active {
            let request = pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: id.to_owned() };
            shelf.client.deactivate_location(request).await.unwrap();
        }
    }
    let create = pb::CreateLocationRequest { request_id: shelf.id(), location: Some(whole_location("NEW")) };
    let mask = [
        "kind",
        "title",
        "gln",
        "coordinates",
        "country_code",
        "zone_id",
        "calendar",
        "abilities",
        "daily_order_capacity",
        "priority",
        "owner_id",
    ];
    let edited = pb::Location { gln: "4006381333948".to_owned(), ..whole_location("EDITED") };
    let update = pb::UpdateLocationRequest {
        request_id: shelf.id(),
        location: Some(edited),
        update_mask: Some(FieldMask { paths: mask.iter().map(|path| (*path).to_owned()).collect() }),
        expected_version: 1,
    };
    vec![
        location_rules!(Good::new("CreateLocation", &create), OF_LOCATION).at_most(&[
            ("location.calendar.hours", 28),
            ("location.calendar.closed_days", 400),
            ("location.abilities.abilities", 4),
        ]),
        location_rules!(Good::new("UpdateLocation", &update), OF_UPDATE).unbounded(&["expected_version"]).at_most(&[
            ("location.calendar.hours", 28),
            ("location.calendar.closed_days", 400),
            ("location.abilities.abilities", 4),
            ("update_mask.paths", 20),
        ]),
        Good::new(
            "DeactivateLocation",
            &pb::DeactivateLocationRequest { request_id: shelf.id(), location_id: "ON".to_owned() },
        ),
        Good::new(
            "ActivateLocation",
            &pb::ActivateLocationRequest { request_id: shelf.id(), location_id: "OFF".to_owned() },
        ),
        Good::new(
            "CloseLocation",
            &pb::CloseLocationRequest { request_id: shelf.id(), location_id: "ENDED".to_owned() },
        ),
        Good::new(
            "ListLocations",
            &pb::ListLocationsRequest {
                page_size: 1,
                page_token: "EDITED".to_owned(),
                kind: pb::LocationKind::Store.into(),
                state: pb::LocationState::Active.into(),
                country_code: "GB".to_owned(),
                zone_id: "SOUTH".to_owned(),
                owner_id: "D-7".to_owned(),
                abilities: vec![pb::LocationAbility::Pickup.into()],
            },
        )
        .optional(&["kind", "state", "country_code", "zone_id", "owner_id", "abilities"])
        .at_most(&[("abilities", 4)]),
    ]
}

/// How far a transfer has come.
enum Come {
    Asked,
    Approved,
    Allocated,
    /// Three are in transit, and one came that nobody sent.
    OnItsWay,
}

impl Shelf {
    async fn transfer_that_is(&mut self, come: Come) -> String {
        let request = pb::CreateTransferRequest {
            request_id: self.id(),
            source_location_id: wh(),
            destination_location_id: "SHOP".to_owned(),
            lines: units("T", 10),
            ..Default::default()
        };
        let transfer_id = request.request_id.clone();
        self.client.create_transfer(request).await.unwrap();
        let stage = match come {
            Come::Asked => 0,
            Come::Approved => 1,
            Come::Allocated => 2,
            Come::OnItsWay => 3,
        };
        let (id, transfer) = (|shelf: &Self| shelf.id(), transfer_id.clone());
        if stage > 0 {
            let request =
                pb::ApproveTransferRequest { request_id: id(self), transfer_id: transfer.clone(), expected_version: 0 };
            self.client.approve_transfer(request).await.unwrap();
        }
        if stage > 1 {
            let request = pb::AllocateTransferRequest {
                request_id: id(self),
                transfer_id: transfer.clone(),
                ..Default::default()
            };
            self.client.allocate_transfer(request).await.unwrap();
        }
        if stage > 2 {
            for (shipped, arrived) in [(2, 3), (3, 0)] {
                let request = pb::ShipTransferRequest {
                    request_id: id(self),
                    transfer_id: transfer.clone(),
                    lines: units("T", shipped),
                    ..Default::default()
                };
                self.client.ship_transfer(request).await.unwrap();
                if arrived > 0 {
                    let request = pb::ReceiveTransferRequest {
                        request_id: id(self),
                        transfer_id: transfer.clone(),
                        lines: vec![pb::TransferArrival { sku: "T".to_owned(), good: arrived, ..Default::default() }],
                        ..Default::default()
                    };
                    self.client.receive_transfer(request).await.unwrap();
                }
            }
        }
        transfer_id
    }
}

pub async fn transfers(shelf: &mut Shelf) -> Vec<Good> {
    shelf.receive("WH", &[("T", 1_000)]).await;
    let asked = shelf.transfer_that_is(Come::Asked).await;
    let approved = shelf.transfer_that_is(Come::Approved).await;
    let allocated = shelf.transfer_that_is(Come::Allocated).await;
    let sent = shelf.transfer_that_is(Come::OnItsWay).await;
    let disputed = shelf.transfer_that_is(Come::OnItsWay).await;
    let unwanted = shelf.transfer_that_is(Come::Allocated).await;
    let list = pb::ListTransfersRequest { page_size: 1, ..Default::default() };
    let page_token = shelf.client.list_transfers(list.clone()).await.unwrap().into_inner().next_page_token;
    let effective_time = Some(yesterday(shelf));
    let (id, sku) = (|| shelf.id(), || "T".to_owned());
    vec![
        Good::new(
            "CreateTransfer",
            &pb::CreateTransferRequest {
                request_id: id(),
                source_location_id: wh(),
                destination_location_id: "SHOP".to_owned(),
                lines: units("T", 1),
                expected_date: DAY.to_owned(),
                reference: "weekly".to_owned(),
            },
        )
        .optional(&["expected_date", "reference"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "ApproveTransfer",
            &pb::ApproveTransferRequest { request_id: id(), transfer_id: asked.clone(), expected_version: 1 },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new(
            "AllocateTransfer",
            &pb::AllocateTransferRequest {
                request_id: id(),
                transfer_id: approved,
                expected_version: 2,
                allow_partial: true,
            },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new(
            "ShipTransfer",
            &pb::ShipTransferRequest {
                request_id: id(),
                transfer_id: allocated,
                expected_version: 3,
                lines: units("T", 1),
                release_rest: true,
                expected_date: DAY.to_owned(),
                effective_time,
            },
        )
        .optional(&["expected_version", "expected_date", "effective_time"])
        .unbounded(&["expected_version"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "ReceiveTransfer",
            &pb::ReceiveTransferRequest {
                request_id: id(),
                transfer_id: sent,
                expected_version: 6,
                lines: vec![pb::TransferArrival { sku: sku(), good: 1, damaged: 1, ..Default::default() }],
                bucket: pb::StockBucket::Quarantine.into(),
                effective_time,
            },
        )
        .optional(&["expected_version", "lines.good", "lines.damaged", "bucket", "effective_time"])
        .elsewhere(&["lines.good_lots", "lines.damaged_lots"])
        .unbounded(&["expected_version"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "ResolveTransferDiscrepancy",
            &pb::ResolveTransferDiscrepancyRequest {
                request_id: id(),
                transfer_id: disputed,
                expected_version: 6,
                lines: vec![pb::TransferResolution { sku: sku(), lost: 1, from_source: 1, ..Default::default() }],
                effective_time,
            },
        )
        .optional(&["expected_version", "lines.lost", "lines.from_source", "effective_time"])
        .elsewhere(&["lines.lost_lots", "lines.from_source_lots"])
        .unbounded(&["expected_version"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "CancelTransfer",
            &pb::CancelTransferRequest { request_id: id(), transfer_id: unwanted, expected_version: 3 },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new("GetTransfer", &pb::GetTransferRequest { transfer_id: asked }),
        Good::new(
            "ListTransfers",
            &pb::ListTransfersRequest {
                state: pb::TransferState::Approved.into(),
                location_id: wh(),
                page_token,
                ..list
            },
        )
        .optional(&["state", "location_id"]),
    ]
}

impl Shelf {
    async fn count_of(&mut self, sku: &str, counted: bool, approved: bool) -> String {
        let request = pb::StartCountRequest {
            request_id: self.id(),
            location_id: wh(),
            kind: pb::CountKind::Cycle.into(),
            skus: vec![sku.to_owned()],
            ..Default::default()
        };
        let count_id = request.request_id.clone();
        self.client.start_count(request).await.unwrap();
        if counted {
            let request = pb::RecordCountRequest {
                request_id: self.id(),
                count_id: count_id.clone(),
                entries: vec![pb::CountEntry { sku: sku.to_owned(), quantity: 2 }],
                ..Default::default()
            };
            self.client.record_count(request).await.unwrap();
        }
        if approved {
            let request =
                pb::ApproveCountRequest { request_id: self.id(), count_id: count_id.clone(), ..Default::default() };
            self.client.approve_count(request).await.unwrap();
        }
        count_id
    }
}

pub async fn counts(shelf: &mut Shelf) -> Vec<Good> {
    let skus: Vec<String> = (1..=8).map(|number| format!("K{number}")).collect();
    let stock: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 3)).collect();
    shelf.receive("WH", &stock).await;
    let to_record = shelf.count_of("K1", false, false).await;
    let to_recount = shelf.count_of("K2", true, false).await;
    let to_approve = shelf.count_of("K3", true, false).await;
    let to_post = shelf.count_of("K4", true, true).await;
    let to_cancel = shelf.count_of("K5", false, false).await;
    let list = pb::ListCountsRequest { page_size: 1, ..Default::default() };
    let page_of_counts = shelf.client.list_counts(list.clone()).await.unwrap().into_inner().next_page_token;
    let entry = |sku: &str| pb::AbcEntry { sku: sku.to_owned(), class: pb::AbcClass::A.into() };
    let classes =
        pb::SetAbcClassesRequest { request_id: shelf.id(), location_id: wh(), entries: vec![entry("K6"), entry("K7")] };
    shelf.client.set_abc_classes(classes).await.unwrap();
    let due = pb::ListDueCountsRequest { location_id: wh(), page_size: 1, ..Default::default() };
    let page_of_due = shelf.client.list_due_counts(due.clone()).await.unwrap().into_inner().next_page_token;
    let id = || shelf.id();
    let start = pb::StartCountRequest {
        location_id: wh(),
        bucket: pb::StockBucket::Sellable.into(),
        reference: "aisle 7".to_owned(),
        ..Default::default()
    };
    vec![
        Good::new(
            "StartCount",
            &pb::StartCountRequest {
                request_id: id(),
                kind: pb::CountKind::Full.into(),
                first_sku: "K7".to_owned(),
                last_sku: "K7".to_owned(),
                ..start.clone()
            },
        )
        .optional(&["bucket", "first_sku", "last_sku", "reference"])
        .absent(&["skus"]),
        Good::new(
            "StartCount",
            &pb::StartCountRequest {
                request_id: id(),
                kind: pb::CountKind::Cycle.into(),
                skus: vec!["K8".to_owned()],
                ..start
            },
        )
        .optional(&["bucket", "reference"])
        .absent(&["first_sku", "last_sku"])
        .at_most(&[("skus", 2_000)]),
        Good::new(
            "RecordCount",
            &pb::RecordCountRequest {
                request_id: id(),
                count_id: to_record.clone(),
                expected_version: 1,
                entries: vec![pb::CountEntry { sku: "K1".to_owned(), quantity: 3 }],
                add: true,
            },
        )
        .optional(&["expected_version", "entries.quantity"])
        .unbounded(&["expected_version"])
        .at_most(&[("entries", 2_000)]),
        Good::new(
            "RequestRecount",
            &pb::RequestRecountRequest {
                request_id: id(),
                count_id: to_recount,
                expected_version: 2,
                skus: vec!["K2".to_owned()],
            },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"])
        .at_most(&[("skus", 2_000)]),
        Good::new(
            "ApproveCount",
            &pb::ApproveCountRequest {
                request_id: id(),
                count_id: to_approve,
                expected_version: 2,
                uncounted_is_zero: true,
            },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new(
            "PostCount",
            &pb::PostCountRequest {
                request_id: id(),
                count_id: to_post,
                expected_version: 3,
                reason: pb::AdjustmentReason::Lost.into(),
                effective_time: Some(yesterday(shelf)),
            },
        )
        .optional(&["expected_version", "reason", "effective_time"])
        .unbounded(&["expected_version"]),
        Good::new(
            "CancelCount",
            &pb::CancelCountRequest { request_id: id(), count_id: to_cancel, expected_version: 1 },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new(
            "GetCount",
            &pb::GetCountRequest { count_id: to_record, review: true, page_size: 1, page_token: "K0".to_owned() },
        ),
        Good::new(
            "ListCounts",
            &pb::ListCountsRequest {
                state: pb::CountState::Counting.into(),
                location_id: wh(),
                page_token: page_of_counts,
                ..list
            },
        )
        .optional(&["state", "location_id"]),
        Good::new(
            "SetAbcClasses",
            &pb::SetAbcClassesRequest { request_id: id(), location_id: wh(), entries: vec![entry("K6")] },
        )
        .optional(&["entries.class"])
        .at_most(&[("entries", 2_000)]),
        Good::new(
            "SetCountSchedule",
            &pb::SetCountScheduleRequest { request_id: id(), location_id: wh(), a_days: 7, b_days: 30, c_days: 90 },
        ),
        Good::new(
            "ListDueCounts",
            &pb::ListDueCountsRequest { as_of_time: Some(yesterday(shelf)), page_token: page_of_due, ..due },
        )
        .optional(&["as_of_time"])
        .may_lie_ahead(&["as_of_time"]),
    ]
}

fn expected(sku: &str) -> Vec<pb::ExpectedLine> {
    vec![pb::ExpectedLine { sku: sku.to_owned(), quantity: 10, expected_date: DAY.to_owned() }]
}

impl Shelf {
    async fn open_order(&mut self) -> String {
        let request = pb::CreatePurchaseOrderRequest {
            request_id: self.id(),
            supplier: "ACME".to_owned(),
            location_id: wh(),
            lines: expected("I"),
            ..Default::default()
        };
        let inbound_id = request.request_id.clone();
        self.client.create_purchase_order(request).await.unwrap();
        inbound_id
    }
}

pub async fn inbounds(shelf: &mut Shelf) -> Vec<Good> {
    let to_amend = shelf.open_order().await;
    let to_cancel = shelf.open_order().await;
    let to_advise = shelf.open_order().await;
    let to_receive = shelf.open_order().await;
    let to_close = shelf.open_order().await;
    let list = pb::ListInboundsRequest { page_size: 1, ..Default::default() };
    let page_of_inbounds = shelf.client.list_inbounds(list.clone()).await.unwrap().into_inner().next_page_token;
    let due = pb::ListInboundDueRequest { page_size: 1, ..Default::default() };
    let page_of_due = shelf.client.list_inbound_due(due.clone()).await.unwrap().into_inner().next_page_token;
    let id = || shelf.id();
    vec![
        Good::new(
            "CreatePurchaseOrder",
            &pb::CreatePurchaseOrderRequest {
                request_id: id(),
                supplier: "ACME".to_owned(),
                location_id: wh(),
                lines: expected("I"),
                over_tolerance_percent: 5,
                accept_unlisted: true,
                reference: "PO 7".to_owned(),
            },
        )
        .optional(&["over_tolerance_percent", "reference"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "AmendPurchaseOrder",
            &pb::AmendPurchaseOrderRequest {
                request_id: id(),
                inbound_id: to_amend.clone(),
                expected_version: 1,
                lines: expected("I2"),
            },
        )
        .optional(&["expected_version", "lines.quantity"])
        .unbounded(&["expected_version"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "CancelPurchaseOrder",
            &pb::CancelPurchaseOrderRequest { request_id: id(), inbound_id: to_cancel, expected_version: 1 },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new(
            "CreateAsn",
            &pb::CreateAsnRequest {
                request_id: id(),
                purchase_order_id: to_advise,
                supplier: "ACME".to_owned(),
                location_id: wh(),
                lines: expected("I"),
                over_tolerance_percent: 5,
                accept_unlisted: true,
                reference: "note 7".to_owned(),
            },
        )
        .optional(&["purchase_order_id", "over_tolerance_percent", "reference"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "ReceiveInbound",
            &pb::ReceiveInboundRequest {
                request_id: id(),
                inbound_id: to_receive,
                expected_version: 1,
                lines: vec![pb::DeliveredLine {
                    sku: "I".to_owned(),
                    accepted: 1,
                    quarantined: 1,
                    returned: 1,
                    ..Default::default()
                }],
                effective_time: Some(yesterday(shelf)),
            },
        )
        .optional(&["expected_version", "lines.accepted", "lines.quarantined", "lines.returned", "effective_time"])
        .elsewhere(&["lines.accepted_lots", "lines.quarantined_lots"])
        .unbounded(&["expected_version"])
        .at_most(&[("lines", 500)]),
        Good::new(
            "CloseInbound",
            &pb::CloseInboundRequest { request_id: id(), inbound_id: to_close, expected_version: 1 },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new("GetInbound", &pb::GetInboundRequest { inbound_id: to_amend.clone() }),
        Good::new(
            "ListInbounds",
            &pb::ListInboundsRequest {
                kind: pb::InboundKind::Asn.into(),
                state: pb::InboundState::Open.into(),
                location_id: wh(),
                purchase_order_id: to_amend,
                page_token: page_of_inbounds,
                ..list
            },
        )
        .optional(&["kind", "state", "location_id", "purchase_order_id"]),
        Good::new(
            "ListInboundDue",
            &pb::ListInboundDueRequest {
                location_id: wh(),
                sku: "I".to_owned(),
                until_date: DAY.to_owned(),
                page_token: page_of_due,
                ..due
            },
        )
        .optional(&["location_id", "sku", "until_date"]),
    ]
}

impl Shelf {
    async fn open_promise(&mut self) -> String {
        let request = self.promise_request();
        let promise_id = request.request_id.clone();
        self.client.promise_stock(request).await.unwrap();
        promise_id
    }

    fn promise_request(&self) -> pb::PromiseStockRequest {
        pb::PromiseStockRequest {
            request_id: self.id(),
            promise_date: DAY.to_owned(),
            lines: vec![pb::PromiseRequestLine { sku: "P".to_owned(), location_id: wh(), quantity: 1 }],
            channel_id: "WEB".to_owned(),
            reference: "order 7".to_owned(),
        }
    }
}

pub async fn promises(shelf: &mut Shelf) -> Vec<Good> {
    shelf.receive("WH", &[("P", 100)]).await;
    let to_commit = shelf.open_promise().await;
    let to_cancel = shelf.open_promise().await;
    let list = pb::ListPromisesRequest { page_size: 1, ..Default::default() };
    let page_token = shelf.client.list_promises(list.clone()).await.unwrap().into_inner().next_page_token;
    let ask = pb::GetAvailableToPromiseRequest {
        skus: vec!["P".to_owned()],
        promise_dates: vec![DAY.to_owned()],
        ..Default::default()
    };
    vec![
        Good::new("GetAvailableToPromise", &pb::GetAvailableToPromiseRequest { location_id: wh(), ..ask.clone() })
            .absent(&["channel_id"])
            .at_most(&[("skus", 100), ("promise_dates", 60)]),
        Good::new("GetAvailableToPromise", &pb::GetAvailableToPromiseRequest { channel_id: "WEB".to_owned(), ..ask })
            // Left out, it is the other that is missing.
            .optional(&["channel_id"])
            .absent(&["location_id"])
            .at_most(&[("skus", 100), ("promise_dates", 60)]),
        Good::new("PromiseStock", &shelf.promise_request())
            .optional(&["channel_id", "reference"])
            .at_most(&[("lines", 500)]),
        Good::new(
            "CommitPromise",
            &pb::CommitPromiseRequest { request_id: shelf.id(), promise_id: to_commit.clone(), expected_version: 1 },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new(
            "CancelPromise",
            &pb::CancelPromiseRequest { request_id: shelf.id(), promise_id: to_cancel, expected_version: 1 },
        )
        .optional(&["expected_version"])
        .unbounded(&["expected_version"]),
        Good::new("GetPromise", &pb::GetPromiseRequest { promise_id: to_commit }),
        Good::new(
            "ListPromises",
            &pb::ListPromisesRequest {
                state: pb::PromiseState::Open.into(),
                channel_id: "WEB".to_owned(),
                page_token,
                ..list
            },
        )
        .optional(&["state", "channel_id"]),
    ]
}

/// The field of a row that its result is about.
fn refused_field(result: &pb::RowResult) -> Option<&'static str> {
    Some(match result.refusal() {
        pb::RowRefusal::BadSku => "sku",
        pb::RowRefusal::BadLocationId => "location_id",
        pb::RowRefusal::BadBucket => "bucket",
        pb::RowRefusal::BadQuantity => "quantity",
        pb::RowRefusal::Unspecified => return None,
        other => panic!("{other:?} of a row that was spoilt"),
    })
}

fn refused_rows(list: &str, quantity: &str, results: &[pb::RowResult]) -> Vec<String> {
    let named = |(place, result)| {
        let field = refused_field(result)?;
        Some(format!("{list}[{place}].{}", if field == "quantity" { quantity } else { field }))
    };
    results.iter().enumerate().filter_map(named).collect()
}

fn of_set(answer: &[u8]) -> Vec<String> {
    refused_rows("rows", "quantity", &pb::SetStockResponse::decode(answer).unwrap().results)
}

fn of_adjust(answer: &[u8]) -> Vec<String> {
    refused_rows("rows", "delta", &pb::BatchAdjustStockResponse::decode(answer).unwrap().results)
}

fn of_import_set(answer: &[u8]) -> Vec<String> {
    refused_rows("set.rows", "quantity", &pb::ImportStockResponse::decode(answer).unwrap().results)
}

fn of_import_adjust(answer: &[u8]) -> Vec<String> {
    refused_rows("adjust.rows", "delta", &pb::ImportStockResponse::decode(answer).unwrap().results)
}

/// Dry runs: a request of nothing but bad rows is an answer like any other, and would use its id up.
pub fn bulk(shelf: &Shelf) -> Vec<Good> {
    let set = || pb::SetStockRequest {
        request_id: shelf.id(),
        rows: vec![pb::SetStockRow {
            sku: "S".to_owned(),
            location_id: wh(),
            bucket: pb::StockBucket::Sellable.into(),
            quantity: 7,
            expected_quantity: Some(0),
            expected_version: Some(0),
        }],
        reason_code: "adjust_count".to_owned(),
        reference: "list 7".to_owned(),
        effective_time: Some(yesterday(shelf)),
        dry_run: true,
    };
    let adjust = || pb::BatchAdjustStockRequest {
        request_id: shelf.id(),
        rows: vec![pb::AdjustStockRow {
            sku: "S".to_owned(),
            location_id: wh(),
            bucket: pb::StockBucket::Sellable.into(),
            delta: 7,
        }],
        reason_code: "adjust_found".to_owned(),
        reference: "list 7".to_owned(),
        effective_time: Some(yesterday(shelf)),
        dry_run: true,
    };
    let import = |chunk| pb::ImportStockRequest { chunk: Some(chunk) };
    vec![
        Good::new("SetStock", &set())
            .optional(&[
                "rows.bucket",
                "rows.quantity",
                "rows.expected_quantity",
                "rows.expected_version",
                "reason_code",
                "reference",
                "effective_time",
            ])
            // What is expected may be anything: if it is not so, the row says what is there.
            .signed(&["rows.expected_quantity", "rows.expected_version"])
            .unbounded(&["rows.expected_quantity", "rows.expected_version"])
            .at_most(&[("rows", 5_000)])
            .told_in_answer(of_set),
        Good::new("BatchAdjustStock", &adjust())
            .optional(&["rows.bucket", "reference", "effective_time"])
            .signed(&["rows.delta"])
            .at_most(&[("rows", 5_000)])
            .told_in_answer(of_adjust),
        Good::new("ImportStock", &import(pb::import_stock_request::Chunk::Set(set())))
            .optional(&[
                "set.rows.bucket",
                "set.rows.quantity",
                "set.rows.expected_quantity",
                "set.rows.expected_version",
                "set.reason_code",
                "set.reference",
                "set.effective_time",
            ])
            .signed(&["set.rows.expected_quantity", "set.rows.expected_version"])
            .unbounded(&["set.rows.expected_quantity", "set.rows.expected_version"])
            .absent(&["adjust"])
            .at_most(&[("set.rows", 5_000)])
            // A chunk is the request that it holds, and its fields are named as there.
            .told_as(&[
                ("set", "chunk"),
                ("set.request_id", "request_id"),
                ("set.rows", "rows"),
                ("set.reason_code", "reason_code"),
                ("set.reference", "reference"),
                ("set.effective_time", "effective_time"),
            ])
            .told_in_answer(of_import_set),
        Good::new("ImportStock", &import(pb::import_stock_request::Chunk::Adjust(adjust())))
            .optional(&["adjust.rows.bucket", "adjust.reference", "adjust.effective_time"])
            .signed(&["adjust.rows.delta"])
            .absent(&["set"])
            .at_most(&[("adjust.rows", 5_000)])
            .told_as(&[
                ("adjust", "chunk"),
                ("adjust.request_id", "request_id"),
                ("adjust.rows", "rows"),
                ("adjust.reason_code", "reason_code"),
                ("adjust.reference", "reference"),
                ("adjust.effective_time", "effective_time"),
            ])
            .told_in_answer(of_import_adjust),
    ]
}

/// V-1 must have an agreement about A.
pub fn ledger(shelf: &Shelf) -> Vec<Good> {
    let movement = pb::PostMovementRequest {
        request_id: shelf.id(),
        location_id: wh(),
        lines: vec![pb::MovementLine {
            sku: "A".to_owned(),
            quantity: 1,
            source: pb::Account::Consignment.into(),
            target: pb::Account::Sellable.into(),
            lots: Vec::new(),
        }],
        owner_id: "V-1".to_owned(),
        reason_code: "consignment_in".to_owned(),
        reference: "note 7".to_owned(),
        effective_time: Some(Timestamp { seconds: shelf.clock.now().timestamp() - 60, nanos: 1 }),
    };
    let now = shelf.clock.now().timestamp();
    let resume_token = format!("A\t{}\t1", now * 1_000_000);
    vec![
        Good::new("PostMovement", &movement)
            .optional(&["reference", "effective_time"])
            .elsewhere(&["lines.lots"])
            .at_most(&[("lines", 2_000)]),
        Good::new(
            "CreateReasonCode",
            &pb::CreateReasonCodeRequest {
                request_id: shelf.id(),
                reason_code: Some(pb::ReasonCode {
                    reason_code: "shrinkage".to_owned(),
                    title: "Shrinkage".to_owned(),
                    ..Default::default()
                }),
            },
        )
        .ignored(&["reason_code.built_in", "reason_code.assignable"]),
        Good::new(
            "ListReasonCodes",
            &pb::ListReasonCodesRequest { page_size: 1, page_token: "adjust_found".to_owned() },
        ),
        Good::new(
            "ExportMovements",
            &pb::ExportMovementsRequest {
                format: pb::ExportFormat::Csv.into(),
                sku: "A".to_owned(),
                location_id: wh(),
                from_time: Some(Timestamp { seconds: now - 1_000, nanos: 1 }),
                to_time: Some(Timestamp { seconds: now + 1_000, nanos: 1 }),
                resume_token,
            },
        )
        .optional(&["sku", "location_id", "from_time", "to_time", "resume_token"])
        .may_lie_ahead(&["from_time", "to_time"]),
        Good::new("ListDrift", &pb::ListDriftRequest { include_resolved: true, page_size: 1, page_token: shelf.id() }),
        Good::new(
            "RepairLevel",
            &pb::RepairLevelRequest {
                request_id: shelf.id(),
                sku: "A".to_owned(),
                location_id: wh(),
                reason: "looked twice".to_owned(),
            },
        ),
    ]
}

pub async fn policies(shelf: &mut Shelf) -> Vec<Good> {
    let policy = |sku: &str| pb::StockPolicy {
        sku: sku.to_owned(),
        location_id: wh(),
        safety_stock: 1,
        backorder_limit: 1,
        excluded: true,
        excluded_channels: vec!["WEB".to_owned()],
        buffers: vec![pb::ChannelBuffer { channel_id: "WEB".to_owned(), units: 1 }],
        audit: None,
    };
    let of_sku = |sku: &str| pb::SkuPolicy {
        sku: sku.to_owned(),
        network_threshold: 1,
        low_threshold: 1,
        excluded_channels: vec!["WEB".to_owned()],
        audit: None,
        shopper_cap: Some(5),
        channel_cap: Some(50),
    };
    let fence = |sku: &str, owner| pb::RingFence {
        sku: sku.to_owned(),
        location_id: wh(),
        owner: Some(owner),
        quota: 1,
        release_time: Some(Timestamp { seconds: shelf.clock.now().timestamp() + 86_400, nanos: 0 }),
        ..Default::default()
    };
    let channel = pb::ring_fence::Owner::ChannelId("WEB".to_owned());
    let partner = pb::ring_fence::Owner::PartnerId("D-7".to_owned());
    let stock = |sku: &str, version| pb::SetStockPoliciesRequest {
        request_id: shelf.id(),
        lines: vec![pb::StockPolicyLine { policy: Some(policy(sku)), expected_version: version }],
    };
    let skus = |sku: &str, version| pb::SetSkuPoliciesRequest {
        request_id: shelf.id(),
        lines: vec![pb::SkuPolicyLine { policy: Some(of_sku(sku)), expected_version: version }],
    };
    let fences = |sku: &str, owner, version| pb::SetRingFencesRequest {
        request_id: shelf.id(),
        lines: vec![pb::RingFenceLine { fence: Some(fence(sku, owner)), expected_version: version }],
    };
    // Policies that are there have version 1: what is set below is another than what was.
    let firsts = (
        pb::SetStockPoliciesRequest {
            request_id: shelf.id(),
            lines: vec![pb::StockPolicyLine {
                policy: Some(pb::StockPolicy { safety_stock: 2, ..policy("R1") }),
                expected_version: 0,
            }],
        },
        pb::SetSkuPoliciesRequest {
            request_id: shelf.id(),
            lines: vec![pb::SkuPolicyLine {
                policy: Some(pb::SkuPolicy { low_threshold: 2, ..of_sku("R2") }),
                expected_version: 0,
            }],
        },
        pb::SetRingFencesRequest {
            request_id: shelf.id(),
            lines: ["R3", "R4"]
                .into_iter()
                .zip([channel.clone(), partner.clone()])
                .map(|(sku, owner)| pb::RingFenceLine {
                    fence: Some(pb::RingFence { quota: 2, ..fence(sku, owner) }),
                    expected_version: 0,
                })
                .collect(),
        },
    );
    let goods = vec![
        Good::new("SetStockPolicies", &stock("R1", 1))
            .optional(&[
                "lines.policy.safety_stock",
                "lines.policy.backorder_limit",
                "lines.policy.excluded_channels",
                "lines.policy.buffers",
                "lines.policy.buffers.units",
                "lines.expected_version",
            ])
            .ignored(&["lines.policy.audit"])
            .unbounded(&["lines.expected_version"])
            .at_most(&[("lines", 2_000), ("lines.policy.excluded_channels", 50), ("lines.policy.buffers", 50)]),
        Good::new(
            "ListStockPolicies",
            &pb::ListStockPoliciesRequest {
                sku: "R1".to_owned(),
                location_id: wh(),
                page_size: 1,
                page_token: "R1\tWH".to_owned(),
            },
        )
        .optional(&["sku", "location_id"]),
        Good::new("SetSkuPolicies", &skus("R2", 1))
            .optional(&[
                "lines.policy.network_threshold",
                "lines.policy.low_threshold",
                "lines.policy.excluded_channels",
                "lines.policy.shopper_cap",
                "lines.policy.channel_cap",
                "lines.expected_version",
            ])
            .ignored(&["lines.policy.audit"])
            .unbounded(&["lines.expected_version"])
            .at_most(&[("lines", 50), ("lines.policy.excluded_channels", 50)]),
        Good::new("ListSkuPolicies", &pb::ListSkuPoliciesRequest { page_size: 1, page_token: "R2".to_owned() }),
        Good::new("SetRingFences", &fences("R3", channel, 1))
            .optional(&[
                "lines.fence.channel_id",
                "lines.fence.quota",
                "lines.fence.release_time",
                "lines.expected_version",
            ])
            .absent(&["lines.fence.partner_id"])
            .ignored(&["lines.fence.used", "lines.fence.audit"])
            .may_lie_ahead(&["lines.fence.release_time"])
            .unbounded(&["lines.expected_version"])
            .at_most(&[("lines", 2_000)]),
        Good::new("SetRingFences", &fences("R4", partner, 1))
            .optional(&[
                "lines.fence.partner_id",
                "lines.fence.quota",
                "lines.fence.release_time",
                "lines.expected_version",
            ])
            .absent(&["lines.fence.channel_id"])
            .ignored(&["lines.fence.used", "lines.fence.audit"])
            .may_lie_ahead(&["lines.fence.release_time"])
            .unbounded(&["lines.expected_version"])
            .at_most(&[("lines", 2_000)]),
        Good::new(
            "ListRingFences",
            &pb::ListRingFencesRequest {
                sku: "R3".to_owned(),
                location_id: wh(),
                page_size: 1,
                page_token: "R3\tWH\tchannel\tWEB".to_owned(),
            },
        )
        .optional(&["sku", "location_id"]),
    ];
    shelf.receive("WH", &[("R1", 9), ("R2", 9), ("R3", 9), ("R4", 9)]).await;
    shelf.client.set_stock_policies(firsts.0).await.unwrap();
    shelf.client.set_sku_policies(firsts.1).await.unwrap();
    shelf.client.set_ring_fences(firsts.2).await.unwrap();
    goods
}

pub fn figures() -> Vec<Good> {
    vec![
        Good::new(
            "ExplainAvailability",
            &pb::ExplainAvailabilityRequest {
                channel_id: "WEB".to_owned(),
                partner_id: "D-7".to_owned(),
                sku: "A".to_owned(),
            },
        )
        .optional(&["partner_id"]),
        Good::new(
            "FindPickup",
            &pb::FindPickupRequest {
                channel_id: "WEB".to_owned(),
                partner_id: "D-7".to_owned(),
                near: Some(pb::Coordinates { latitude_micro_degrees: 51_507_400, longitude_micro_degrees: -127_800 }),
                radius_m: 1_000,
                lines: vec![pb::PickupLine { sku: "A".to_owned(), quantity: 1 }],
                complete_only: true,
                limit: 5,
            },
        )
        .optional(&["partner_id", "near.latitude_micro_degrees", "near.longitude_micro_degrees", "lines", "limit"])
        .signed(&["near.latitude_micro_degrees", "near.longitude_micro_degrees"])
        .told_as(&[("near.latitude_micro_degrees", "near"), ("near.longitude_micro_degrees", "near")])
        .at_most(&[("lines", 50)]),
    ]
}
