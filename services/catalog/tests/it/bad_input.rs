//! Every field of every request, spoilt in turn.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, catalog::v1 as pb, r#type::v1::Money};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused};

use crate::support::{Shop, basket, pounds, price_list, product, tier};

fn products(shop: &Shop) -> Vec<Good> {
    let mut new = product("P2", &["D"]);
    "Large".clone_into(&mut new.variants[0].title);
    "96385074".clone_into(&mut new.variants[0].gtin);
    let create = pb::BatchCreateProductsRequest { request_id: shop.request_id(), products: vec![new] };
    vec![
        Good::new("BatchCreateProducts", &create)
            .optional(&["products.variants.title", "products.variants.gtin"])
            .ignored(&["products.create_time", "products.variants.product_id"])
            .at_most(&[("products", 500), ("products.variants", 100)]),
        Good::new("GetProduct", &pb::GetProductRequest { product_id: "P1".to_owned() }),
        Good::new("ListProducts", &pb::ListProductsRequest { page_size: 1, page_token: "P1".to_owned() }),
        // One of the two, and `sku` is named where both are empty.
        Good::new("GetVariant", &pb::GetVariantRequest { sku: "A".to_owned(), gtin: String::new() }).absent(&["gtin"]),
        Good::new("GetVariant", &pb::GetVariantRequest { sku: String::new(), gtin: "96385074".to_owned() })
            .optional(&["gtin"])
            .absent(&["sku"]),
    ]
}

fn price_lists(shop: &Shop) -> Vec<Good> {
    let create = pb::CreatePriceListRequest {
        request_id: shop.request_id(),
        price_list: Some(price_list("APP-GBP", "GBP", "APP")),
    };
    let publish = pb::PublishPriceListRequest {
        request_id: shop.request_id(),
        price_list_id: "WEB-GBP".to_owned(),
        entries: vec![pb::PriceEntry { valid_from: shop.in_hours(2), valid_to: shop.in_hours(3), ..tier("A", 10, 50) }],
        activate_time: shop.in_hours(1),
    };
    let place = format!("{}:1:A", (shop.clock.now()).timestamp_micros());
    vec![
        Good::new("CreatePriceList", &create)
            .optional(&["price_list.channel_id", "price_list.rising_tiers"])
            .ignored(&["price_list.version", "price_list.create_time"])
            .any_currency(&["price_list.currency_code"]),
        Good::new("ListPriceLists", &pb::ListPriceListsRequest { page_size: 1, page_token: "WEB-GBP".to_owned() }),
        Good::new("PublishPriceList", &publish)
            .optional(&["activate_time", "entries.valid_from", "entries.valid_to", "entries.min_quantity"])
            .ignored(&["entries.book_version"])
            .may_lie_ahead(&["activate_time", "entries.valid_from", "entries.valid_to"])
            .unbounded(&["entries.unit_price.micros"])
            .at_most(&[("entries", 20_000)]),
        Good::new(
            "ListPrices",
            &pb::ListPricesRequest {
                price_list_id: "WEB-GBP".to_owned(),
                sku: "A".to_owned(),
                page_size: 1,
                page_token: place,
            },
        )
        .optional(&["sku"]),
        Good::new("GetPriceBook", &pb::GetPriceBookRequest {}),
        Good::new(
            "WatchPrices",
            &pb::WatchPricesRequest { price_list_id: "WEB-GBP".to_owned(), after_book_version: 1 },
        )
        .optional(&["after_book_version"])
        .unbounded(&["after_book_version"]),
    ]
}

fn explanation(shop: &Shop) -> Good {
    let asked = pb::ExplainPriceRequest {
        channel_id: "WEB".to_owned(),
        partner_id: "D-1".to_owned(),
        currency_code: "GBP".to_owned(),
        sku: "A".to_owned(),
        quantity: 2,
        price_time: shop.in_hours(0),
    };
    Good::new("ExplainPrice", &asked).optional(&["partner_id", "price_time"]).any_currency(&["currency_code"])
}

fn quotes(shop: &Shop) -> Good {
    let mut asked = basket(&[("A", 2)]);
    "D-1".clone_into(&mut asked.partner_id);
    asked.lines[0].override_unit_price = pounds(500_000);
    "by hand".clone_into(&mut asked.lines[0].override_reason);
    asked.fees = vec![pb::QuoteFee {
        code: "POST".to_owned(),
        description: "postage".to_owned(),
        quantity: 1,
        unit_price: pounds(4_950_000),
    }];
    asked.order_discount = Some(Money { minor_units: 7, currency_code: "GBP".to_owned() });
    asked.price_time = shop.in_hours(0);
    Good::new("QuotePrices", &asked)
        .optional(&[
            "partner_id",
            "lines",
            "lines.override_unit_price",
            "lines.override_unit_price.micros",
            "fees",
            "fees.description",
            "fees.unit_price.micros",
            "order_discount",
            "order_discount.minor_units",
            "price_time",
        ])
        .signed(&["fees.quantity", "fees.unit_price.micros"])
        .unbounded(&["lines.override_unit_price.micros", "fees.unit_price.micros", "order_discount.minor_units"])
        // The currency of the whole: what is in another one is told where it stands.
        .any_currency(&["currency_code"])
        .at_most(&[("lines", 2_000), ("fees", 2_000)])
        .told_as(&[("fees", "lines")])
}

#[tokio::test]
async fn every_bad_field_is_refused_by_its_name_and_changes_nothing() {
    let mut shop = Shop::stocked().await;
    shop.publish("WEB-GBP", &[("A", 100)]).await;
    let mut goods = products(&shop);
    goods.extend(price_lists(&shop));
    goods.push(explanation(&shop));
    goods.push(quotes(&shop));
    let (server, pool) = (&shop.server, shop.db.pool());
    assert_bad_input_is_refused(server, pool, FILE_DESCRIPTOR_SET, "oneshelf.catalog.v1.CatalogService", goods).await;
}
