//! The checks find what they are for.

use crate::support::{Shop, pounds};

/// The ids of the checks that something breaks, with their offenders.
async fn broken(shop: &Shop) -> Vec<(&'static str, Vec<String>)> {
    oneshelf_channels::verify::verify(&shop.pool, shop.clock.now())
        .await
        .expect("the checks run")
        .into_iter()
        .filter(|check| check.violations > 0)
        .map(|check| (check.id, check.offenders))
        .collect()
}

#[tokio::test]
async fn each_check_names_what_breaks_it() {
    let shop = Shop::open().await;
    shop.channel("WEB", &["WH"]).await;
    shop.announce_stock("A", "WH", 5, 1).await;
    shop.announce_stock("B", "WH", 5, 1).await;
    // Stock and prices come by two queues: the third change is to be the price's.
    shop.wait_for_applied(2).await;
    shop.publish_prices("WEB", 1, shop.clock.now(), &[pounds("A", 100, shop.clock.now())]).await;
    shop.wait_for_applied(3).await;
    assert_eq!(broken(&shop).await, []);

    let a = || vec!["WEB/A".to_owned()];
    let cases = [
        (
            "UPDATE channels.stock_facts SET available = 6 WHERE sku = 'A'",
            "UPDATE channels.stock_facts SET available = 5 WHERE sku = 'A'",
            vec![("CH1", a())],
        ),
        (
            "UPDATE channels.price_facts SET unit_price_micros = 99",
            "UPDATE channels.price_facts SET unit_price_micros = 100",
            vec![("CH1", a())],
        ),
        (
            "INSERT INTO channels.stock_facts VALUES ('C', 'WH', 0, 1, now())",
            "DELETE FROM channels.stock_facts WHERE sku = 'C'",
            vec![("CH1", vec!["WEB/C".to_owned()])],
        ),
        (
            "UPDATE channels.listings SET seq = seq + 100 WHERE sku = 'A'",
            "UPDATE channels.listings SET seq = seq - 100 WHERE sku = 'A'",
            vec![("CH2", vec!["WEB".to_owned()]), ("CH4", a())],
        ),
        (
            "UPDATE channels.changes SET skus = '{B}' WHERE last_seq = 3",
            "UPDATE channels.changes SET skus = '{A}' WHERE last_seq = 3",
            vec![("CH4", a())],
        ),
        (
            "UPDATE channels.channels SET last_seq = last_seq + 1",
            "UPDATE channels.channels SET last_seq = last_seq - 1",
            vec![("CH2", vec!["WEB".to_owned()])],
        ),
        (
            "ALTER TABLE channels.listings DROP CONSTRAINT listings_acked_version_check;
             UPDATE channels.listings SET acked_version = version + 1 WHERE sku = 'A'",
            "UPDATE channels.listings SET acked_version = 0",
            vec![("CH3", a())],
        ),
    ];
    for (damage, mend, expected) in cases {
        sqlx::raw_sql(damage).execute(&shop.pool).await.unwrap();
        assert_eq!(broken(&shop).await, expected, "{damage}");
        sqlx::raw_sql(mend).execute(&shop.pool).await.unwrap();
    }
    shop.stop().await;
}
