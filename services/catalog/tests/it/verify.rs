use oneshelf_catalog::verify::verify;

use crate::support::{Shop, entry, tier};

#[tokio::test]
async fn a_used_catalog_has_no_violation() {
    let mut shop = Shop::stocked().await;
    for check in verify(shop.db.pool()).await.unwrap() {
        assert_eq!(check.violations, 0, "{check:?}");
    }
    shop.publish("WEB-GBP", &[("A", 100), ("B", 200)]).await;
    shop.publish_entries("WEB-GBP", vec![entry("A", 90), tier("A", 10, 80)], shop.in_hours(3)).await.unwrap();
    for check in verify(shop.db.pool()).await.unwrap() {
        assert_eq!(check.violations, 0, "{check:?}");
        assert!(check.checked > 0, "{check:?}");
    }
}

#[tokio::test]
async fn what_no_use_case_does_is_found() {
    let mut shop = Shop::stocked().await;
    shop.publish_entries("WEB-GBP", vec![entry("A", 100), entry("B", 200), tier("B", 10, 150)], None).await.unwrap();
    for damage in [
        "UPDATE catalog.prices SET unit_price_micros = 2010000 WHERE min_quantity = 10",
        "UPDATE catalog.price_books SET entry_count = 4",
        "UPDATE catalog.heads SET version = 2 WHERE kind = 'price_books'",
        "UPDATE catalog.price_lists SET event_version = 9",
        "UPDATE catalog.price_books SET activate_at = published_at + INTERVAL '1 day'",
    ] {
        let before = verify(shop.db.pool()).await.unwrap();
        sqlx::raw_sql(damage).execute(shop.db.pool()).await.unwrap();
        let after = verify(shop.db.pool()).await.unwrap();
        let violations = |checks: &[oneshelf_kit::verify::Check]| checks.iter().map(|c| c.violations).sum::<i64>();
        assert!(violations(&after) > violations(&before), "{damage}");
    }
}
