use oneshelf_proto::inventory::v1 as pb;
use prost_types::Timestamp;
use tonic::Code;

use crate::support::{Shelf, fields, reason, stock_lines};

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn adjust(shelf: &Shelf, sku: &str, delta: i64, bucket: pb::StockBucket) -> pb::AdjustStockRequest {
    pb::AdjustStockRequest {
        request_id: shelf.id(),
        location_id: "WH".to_owned(),
        lines: vec![pb::AdjustmentLine { sku: sku.to_owned(), delta, bucket: bucket.into(), ..Default::default() }],
        reason: pb::AdjustmentReason::Count.into(),
        reference: String::new(),
        effective_time: None,
    }
}

#[tokio::test]
async fn receive_stock_books_goods_in_once() {
    let mut shelf = Shelf::open().await;
    let request = shelf.receipt("WH", &[("a", 3), ("A", 4), ("B", 1)]);
    let first = shelf.client.receive_stock(request.clone()).await.unwrap().into_inner();
    let levels: Vec<(&str, i64, i64)> =
        first.levels.iter().map(|level| (level.sku.as_str(), level.sellable, level.version)).collect();
    assert_eq!(levels, [("A", 7, 1), ("B", 1, 1)], "the same SKU twice adds up");
    assert_eq!(shelf.client.receive_stock(request.clone()).await.unwrap().into_inner(), first);
    assert_eq!(shelf.level("A").await.0, 7);
    let reused = pb::ReceiveStockRequest { reference: "other".to_owned(), ..request };
    let reused = shelf.client.receive_stock(reused).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    shelf.verify().await;
}

#[tokio::test]
async fn receive_stock_names_every_bad_field_and_changes_nothing() {
    let mut shelf = Shelf::stocked().await;
    let before = shelf.rows().await;
    let good = shelf.receipt("WH", &[("A", 1)]);
    let too_many: Vec<pb::StockLine> = (0..2_001).map(|_| stock_lines(&[("A", 1)])[0].clone()).collect();
    let cases = [
        (pb::ReceiveStockRequest::default(), vec!["request_id", "location_id", "lines"]),
        (
            pb::ReceiveStockRequest {
                lines: stock_lines(&[("", 1), ("A", 0), ("A", -1), ("A", i64::MAX)]),
                ..good.clone()
            },
            vec!["lines[0].sku", "lines[1].quantity", "lines[2].quantity", "lines[3].quantity"],
        ),
        (pb::ReceiveStockRequest { lines: too_many, ..good.clone() }, vec!["lines"]),
        (pb::ReceiveStockRequest { reference: "x".repeat(101), ..good.clone() }, vec!["reference"]),
        (pb::ReceiveStockRequest { effective_time: at(i64::MAX), ..good.clone() }, vec!["effective_time"]),
    ];
    for (request, expected) in cases {
        assert_eq!(fields(&shelf.client.receive_stock(request).await.unwrap_err()), expected);
    }
    let nowhere = pb::ReceiveStockRequest { location_id: "NOWHERE".to_owned(), ..good };
    let nowhere = shelf.client.receive_stock(nowhere).await.unwrap_err();
    assert_eq!((nowhere.code(), reason(&nowhere).as_str()), (Code::NotFound, "LOCATION_NOT_FOUND"));
    assert_eq!(shelf.rows().await, before);
}

#[tokio::test]
async fn receive_stock_of_too_much_is_refused_before_a_level_overflows() {
    let mut shelf = Shelf::open().await;
    let huge = vec![("A", 1_000_000_000_000); 1_000];
    shelf.receive("WH", &huge).await;
    let status = shelf.client.receive_stock(shelf.receipt("WH", &[("A", 1)])).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "QUANTITY_OVERFLOW"));
    assert_eq!(shelf.level("A").await.0, 1_000_000_000_000_000);
}

#[tokio::test]
async fn an_effective_time_needs_the_permission() {
    let mut shelf = Shelf::stocked().await;
    let mut clerk = shelf.client_for(&["inventory:ReceiveStock"], None).await;
    let backdated = pb::ReceiveStockRequest { effective_time: at(1_700_000_000), ..shelf.receipt("WH", &[("A", 1)]) };
    let denied = clerk.receive_stock(backdated.clone()).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    shelf.client.receive_stock(backdated).await.unwrap();
}

#[tokio::test]
async fn adjust_stock_corrects_either_way_but_not_below_nothing() {
    let mut shelf = Shelf::stocked().await;
    let more = adjust(&shelf, "A", 2, pb::StockBucket::Damaged);
    let first = shelf.client.adjust_stock(more.clone()).await.unwrap().into_inner();
    assert_eq!((first.levels[0].damaged, first.levels[0].on_hand), (2, 12));
    assert_eq!(shelf.client.adjust_stock(more).await.unwrap().into_inner(), first);
    let less = adjust(&shelf, "A", -11, pb::StockBucket::Sellable);
    let status = shelf.client.adjust_stock(less).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    assert_eq!(shelf.level("A").await.0, 10);

    let bad = pb::AdjustStockRequest {
        reason: 0,
        lines: vec![
            pb::AdjustmentLine { sku: "A".to_owned(), delta: 0, ..Default::default() },
            pb::AdjustmentLine { sku: "A".to_owned(), delta: i64::MIN, bucket: 9, ..Default::default() },
        ],
        ..adjust(&shelf, "A", 1, pb::StockBucket::Sellable)
    };
    let status = shelf.client.adjust_stock(bad).await.unwrap_err();
    assert_eq!(fields(&status), ["lines[0].delta", "lines[1].bucket", "lines[1].delta", "reason"]);
    shelf.verify().await;
}

#[tokio::test]
async fn return_stock_brings_goods_back_to_any_bucket() {
    let mut shelf = Shelf::stocked().await;
    let request = pb::ReturnStockRequest {
        request_id: shelf.id(),
        location_id: "SHOP".to_owned(),
        lines: stock_lines(&[("A", 2)]),
        bucket: pb::StockBucket::Quarantine.into(),
        ..Default::default()
    };
    let first = shelf.client.return_stock(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.levels[0].quarantine, first.levels[0].available), (2, 0));
    assert_eq!(shelf.client.return_stock(request.clone()).await.unwrap().into_inner(), first);
    let bad = pb::ReturnStockRequest { bucket: 9, lines: vec![], ..request };
    assert_eq!(fields(&shelf.client.return_stock(bad).await.unwrap_err()), ["bucket", "lines"]);
    shelf.verify().await;
}

#[tokio::test]
async fn record_sold_stock_is_a_fact_where_the_location_says_so() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("SHOP", &[("A", 1)]).await;
    let sale = |location: &str, quantity| pb::RecordSoldStockRequest {
        request_id: shelf.id(),
        location_id: location.to_owned(),
        lines: stock_lines(&[("A", quantity)]),
        ..Default::default()
    };
    let (at_shop, at_warehouse, bad) = (sale("SHOP", 3), sale("WH", 11), sale("SHOP", 0));
    let first = shelf.client.record_sold_stock(at_shop.clone()).await.unwrap().into_inner();
    assert_eq!((first.levels[0].sellable, first.oversold_skus.as_slice()), (-2, ["A".to_owned()].as_slice()));
    assert_eq!(shelf.client.record_sold_stock(at_shop).await.unwrap().into_inner(), first);
    let status = shelf.client.record_sold_stock(at_warehouse).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    assert_eq!(fields(&shelf.client.record_sold_stock(bad).await.unwrap_err()), ["lines[0].quantity"]);
    shelf.verify().await;
}

#[tokio::test]
async fn list_movements_tells_where_units_came_from_newest_first() {
    let mut shelf = Shelf::stocked().await;
    shelf.client.adjust_stock(adjust(&shelf, "A", -1, pb::StockBucket::Sellable)).await.unwrap();
    let list = |page_size, page_token: String| pb::ListMovementsRequest {
        sku: "A".to_owned(),
        location_id: "WH".to_owned(),
        page_size,
        page_token,
    };
    let first = shelf.client.list_movements(list(1, String::new())).await.unwrap().into_inner();
    let newest = &first.movements[0];
    assert_eq!((newest.source.as_str(), newest.target.as_str(), newest.quantity), ("WH/sellable", "loss", 1));
    let second = shelf.client.list_movements(list(1, first.next_page_token)).await.unwrap().into_inner();
    let oldest = &second.movements[0];
    assert_eq!(
        (oldest.source.as_str(), oldest.target.as_str(), oldest.reason.as_str()),
        ("supplier", "WH/sellable", "receipt")
    );
    for (request, field) in [
        (pb::ListMovementsRequest::default(), "sku"),
        (list(1_001, String::new()), "page_size"),
        (list(1, "gibberish".to_owned()), "page_token"),
        (list(1, "a\tb".to_owned()), "page_token"),
        // An instant that a number can say and PostgreSQL does not know.
        (list(1, "-8000000000000000000\t1".to_owned()), "page_token"),
    ] {
        assert_eq!(fields(&shelf.client.list_movements(request).await.unwrap_err()), [field]);
    }
}

#[tokio::test]
async fn list_stock_levels_pages_by_sku_and_location() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("SHOP", &[("A", 1)]).await;
    let list =
        |page_size, page_token: String| pb::ListStockLevelsRequest { page_size, page_token, ..Default::default() };
    let first = shelf.client.list_stock_levels(list(2, String::new())).await.unwrap().into_inner();
    let names = |levels: &[pb::StockLevel]| -> Vec<String> {
        levels.iter().map(|level| format!("{}@{}", level.sku, level.location_id)).collect()
    };
    assert_eq!(names(&first.levels), ["A@SHOP", "A@WH"]);
    let second = shelf.client.list_stock_levels(list(2, first.next_page_token)).await.unwrap().into_inner();
    assert_eq!(names(&second.levels), ["B@WH"]);
    let only = pb::ListStockLevelsRequest { location_id: "shop".to_owned(), ..Default::default() };
    assert_eq!(names(&shelf.client.list_stock_levels(only).await.unwrap().into_inner().levels), ["A@SHOP"]);
    assert_eq!(fields(&shelf.client.list_stock_levels(list(5_001, String::new())).await.unwrap_err()), ["page_size"]);
    assert_eq!(fields(&shelf.client.list_stock_levels(list(1, "x".to_owned())).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn get_stock_as_of_sums_the_ledger_by_effective_time() {
    let mut shelf = Shelf::open().await;
    for (day, quantity) in [(1, 5), (3, 7)] {
        let receipt = pb::ReceiveStockRequest {
            effective_time: at(1_700_000_000 + day * 86_400),
            ..shelf.receipt("WH", &[("A", quantity)])
        };
        shelf.client.receive_stock(receipt).await.unwrap();
    }
    // Written down last, happened in between.
    let late = pb::AdjustStockRequest {
        effective_time: at(1_700_000_000 + 2 * 86_400),
        ..adjust(&shelf, "A", -2, pb::StockBucket::Sellable)
    };
    shelf.client.adjust_stock(late).await.unwrap();
    for (day, expected) in [(0, 0), (1, 5), (2, 3), (3, 10)] {
        let request = pb::GetStockAsOfRequest {
            skus: vec!["A".to_owned(), "NEVER".to_owned()],
            location_id: "WH".to_owned(),
            as_of_time: at(1_700_000_000 + day * 86_400),
        };
        let stocks = shelf.client.get_stock_as_of(request).await.unwrap().into_inner().stocks;
        let found: Vec<(&str, i64)> = stocks.iter().map(|stock| (stock.sku.as_str(), stock.on_hand)).collect();
        assert_eq!(found, [("A", expected), ("NEVER", 0)], "day {day}");
    }
    let bad = pb::GetStockAsOfRequest::default();
    assert_eq!(fields(&shelf.client.get_stock_as_of(bad).await.unwrap_err()), ["skus", "location_id", "as_of_time"]);
}
