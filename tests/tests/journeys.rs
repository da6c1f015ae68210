//! Journeys across all six services over the real broker. After each one every service's books are checked.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::time::Duration;

use oneshelf_kit::config::ClientConfig;
use oneshelf_partners::config::CreditConfig;
use oneshelf_pricing::{KeyRing, SigningKey};
use oneshelf_proto::{FILE_DESCRIPTOR_SET, inventory::v1 as inventory, orders::v1 as orders, partners::v1 as partners};
use oneshelf_testkit::{Database, ServeTest, Server, clock, wait_for};
use oneshelf_tests::{
    books,
    shop::{DEALER, DEALERS, MEMBER, STORE, Shop, WAREHOUSE, WEB},
};
use oneshelf_values::Clock;
use tonic::Code;
use tonic_types::StatusExt as _;

/// Events of a busy machine arrive within this.
const SOON: Duration = Duration::from_secs(20);

/// All six services in one server.
struct Town {
    shop: Shop,
    clock: Clock,
    server: Server,
    db: Database,
}

impl Town {
    /// With 10 of A and of B in the warehouse and 3 of A in the store.
    async fn open() -> Self {
        let db = Database::new(&[
            &oneshelf_catalog::MIGRATOR,
            &oneshelf_inventory::MIGRATOR,
            &oneshelf_orders::MIGRATOR,
            &oneshelf_partners::MIGRATOR,
            &oneshelf_loyalty::MIGRATOR,
            &oneshelf_channels::MIGRATOR,
        ])
        .await;
        let clock = clock();
        let test = ServeTest::new(db.pool(), clock.clone()).await;
        let chassis = &test.chassis;
        for queues in [
            oneshelf_catalog::consumers::SUBSCRIPTIONS,
            oneshelf_inventory::consumers::SUBSCRIPTIONS,
            oneshelf_orders::consumers::SUBSCRIPTIONS,
            oneshelf_partners::consumers::SUBSCRIPTIONS,
            oneshelf_loyalty::consumers::SUBSCRIPTIONS,
            oneshelf_channels::consumers::SUBSCRIPTIONS,
        ] {
            chassis.broker.declare(queues).await.unwrap();
        }
        let quotes = KeyRing::try_new("k1", [("k1".to_owned(), SigningKey::try_new([7; 32]).unwrap())]).unwrap();
        let here = ClientConfig { timeout_ms: 20_000, ..ClientConfig::new(format!("http://{}", test.address())) };
        let remotes = oneshelf_orders::server::Remotes { inventory: here.clone(), partners: here };

        let catalog = oneshelf_catalog::config::Config::new(db.config());
        let inventory = oneshelf_inventory::config::Config::new(db.config());
        let orders = oneshelf_orders::config::Config::new(db.config());
        let partners = oneshelf_partners::config::Config { database: db.config(), credit: CreditConfig::default() };
        let loyalty = oneshelf_loyalty::config::Config { database: db.config() };
        let channels = oneshelf_channels::config::Config::new(db.config());
        let mounted = vec![
            oneshelf_catalog::server::start(&catalog, &quotes, chassis).await.unwrap(),
            oneshelf_inventory::server::start(&inventory, chassis).await.unwrap(),
            oneshelf_orders::server::start(&orders, &remotes, quotes, chassis).await.unwrap(),
            oneshelf_partners::server::start(&partners, chassis).await.unwrap(),
            oneshelf_loyalty::server::start(&loyalty, chassis).await.unwrap(),
            oneshelf_channels::server::start(&channels, chassis).await.unwrap(),
        ];
        let server = test.start(FILE_DESCRIPTOR_SET, mounted).await;
        let mut town = Self { shop: Shop::new(server.client().await, clock.clone()), clock, server, db };
        town.shop.open(&["A".to_owned(), "B".to_owned()]).await.unwrap();
        town.shop.receive(WAREHOUSE, &[("A", 10), ("B", 10)]).await.unwrap();
        town.shop.receive(STORE, &[("A", 3)]).await.unwrap();
        town.shows(WEB, "A", 10, 500).await;
        town.shows(STORE, "A", 3, 500).await;
        town
    }

    /// Waits until a channel shows these units and pence.
    async fn shows(&mut self, channel: &str, sku: &str, units: i64, pence: i64) {
        let shop = &mut self.shop;
        let what = format!("{units} of {sku} at {pence} in {channel}");
        let wanted = Some((units, Some(pence)));
        wait_for(&what, SOON, async || (shop.listing(channel, sku).await.unwrap() == wanted).then_some(())).await;
    }

    async fn has_points(&mut self, points: i64) {
        let shop = &mut self.shop;
        wait_for(&format!("{points} points"), SOON, async || {
            (shop.points(MEMBER).await.unwrap() == points).then_some(())
        })
        .await;
    }

    /// The dealer's prices have reached the catalog: 4.00 instead of the list's 4.50.
    async fn dealer_has_own_prices(&mut self) {
        let shop = &mut self.shop;
        wait_for("prices of the dealer's own", SOON, async || {
            let quote = shop.quote(DEALERS, DEALER, &[("A", 1)]).await.unwrap().quote.unwrap();
            (quote.total.unwrap().minor_units == 400).then_some(())
        })
        .await;
    }

    async fn place(&mut self, channel: &str, partner: &str, member: &str, lines: &[(&str, i64)]) -> orders::Order {
        let request = self.shop.basket(channel, partner, member, lines).await.unwrap();
        self.shop.orders.place_order(request).await.unwrap().into_inner().order.unwrap()
    }

    /// Every event has arrived, every book balances, and no two services contradict each other.
    async fn close(self) {
        books::drained(self.db.pool(), SOON).await;
        books::balanced(self.db.pool(), &self.clock).await;
        self.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_order_moves_stock_points_and_listings() {
    let mut town = Town::open().await;
    town.shop.publish("WEB-GBP", &["A".to_owned()], 600).await.unwrap();
    town.shows(WEB, "A", 10, 600).await;

    let order = town.place(WEB, "", MEMBER, &[("A", 2), ("B", 1)]).await;
    assert_eq!(order.total.as_ref().unwrap().minor_units, 1_700);
    assert_eq!(town.shop.level(WAREHOUSE, "A").await.unwrap(), (10, 0, 2));
    town.shows(WEB, "A", 8, 600).await;

    let request = town.shop.shipment(&order.order_id);
    let shipped = town.shop.orders.ship_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!(shipped.state(), orders::OrderState::Shipped);
    assert_eq!(town.shop.level(WAREHOUSE, "A").await.unwrap(), (8, 0, 0));
    town.has_points(17).await;
    town.shows(WEB, "A", 8, 600).await;
    let request = inventory::GetAvailabilityRequest {
        channel_id: WEB.to_owned(),
        skus: vec!["A".into(), "B".into()],
        ..Default::default()
    };
    let shop = &mut town.shop;
    wait_for("fresh availability", SOON, async || {
        let answer = shop.inventory.get_availability(request.clone()).await.unwrap().into_inner();
        (answer.availabilities.iter().map(|each| each.available).eq([8, 9])).then_some(())
    })
    .await;
    town.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dealers_order_is_priced_held_captured_and_given_back_on_account() {
    let mut town = Town::open().await;
    town.dealer_has_own_prices().await;

    let order = town.place(DEALERS, DEALER, "", &[("A", 3)]).await;
    assert_eq!(town.shop.credit().await.unwrap(), (0, 1_200));
    let request = town.shop.shipment(&order.order_id);
    town.shop.orders.ship_order(request).await.unwrap();
    assert_eq!(town.shop.credit().await.unwrap(), (1_200, 0));

    // One comes back, to the store.
    let items = vec![orders::ReturnItem {
        order_id: order.order_id.clone(),
        order_line_no: 1,
        quantity: 1,
        ..Default::default()
    }];
    let request = orders::ReturnItemsRequest {
        request_id: town.shop.id(),
        channel_id: DEALERS.to_owned(),
        location_id: STORE.to_owned(),
        partner_id: DEALER.to_owned(),
        items,
        currency_code: "GBP".to_owned(),
        ..Default::default()
    };
    town.shop.orders.return_items(request).await.unwrap();
    let shop = &mut town.shop;
    wait_for("credit given back", SOON, async || (shop.credit().await.unwrap() == (800, 0)).then_some(())).await;
    town.shows(STORE, "A", 4, 500).await;

    let request = partners::SuspendPartnerRequest {
        request_id: town.shop.id(),
        partner_id: DEALER.to_owned(),
        reason: "does not pay".to_owned(),
    };
    town.shop.partners.suspend_partner(request).await.unwrap();
    let request = town.shop.basket(DEALERS, DEALER, "", &[("A", 1)]).await.unwrap();
    let refused = town.shop.orders.place_order(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "PARTNER_SUSPENDED");
    assert_eq!(town.shop.level(WAREHOUSE, "A").await.unwrap(), (7, 0, 0));
    assert_eq!(town.shop.credit().await.unwrap(), (800, 0));
    town.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tills_sales_are_facts_however_often_they_are_sent() {
    let mut town = Town::open().await;
    // Five of the three that should be there.
    let tickets =
        vec![town.shop.ticket("1", MEMBER, &[("A", 2)]), town.shop.ticket("2", MEMBER, &[("A", 3), ("B", 1)])];
    let recorded = town.shop.record(&tickets).await.unwrap();
    assert!(recorded.iter().all(|answer| answer.outcome() == orders::TicketOutcome::Recorded), "{recorded:?}");
    town.has_points(30).await;
    town.shows(STORE, "A", 0, 500).await;
    let shop = &mut town.shop;
    wait_for("the oversold level", SOON, async || (shop.level(STORE, "A").await.unwrap() == (-2, 0, 0)).then_some(()))
        .await;

    // The line was lost, and the till sends everything again with one more.
    let mut again = tickets.clone();
    again.push(town.shop.ticket("3", "", &[("B", 1)]));
    let answers = town.shop.record(&again).await.unwrap();
    let outcomes: Vec<_> = answers.iter().map(orders::RecordSalesResponse::outcome).collect();
    let known = orders::TicketOutcome::AlreadyRecorded;
    assert_eq!(outcomes, [known, known, orders::TicketOutcome::Recorded]);
    assert!(answers.iter().zip(&recorded).all(|(again, first)| again.order_id == first.order_id));

    // A delivery brings the store back above nothing.
    town.shop.receive(STORE, &[("A", 6)]).await.unwrap();
    town.shows(STORE, "A", 4, 500).await;
    assert_eq!(town.shop.level(STORE, "A").await.unwrap(), (4, 0, 0));
    town.has_points(30).await;
    town.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_units_move_and_both_services_say_so() {
    let mut town = Town::open().await;
    let order = town.place(WEB, "", MEMBER, &[("A", 5), ("B", 1)]).await;
    let request = inventory::MoveHoldRequest {
        request_id: town.shop.id(),
        hold_id: order.order_id.clone(),
        moves: vec![inventory::HoldMove {
            sku: "A".to_owned(),
            source_location_id: WAREHOUSE.to_owned(),
            target_location_id: STORE.to_owned(),
            quantity: 3,
        }],
    };
    town.shop.inventory.move_hold(request).await.unwrap();
    let get = orders::GetOrderRequest { order_id: order.order_id.clone() };
    let shop = &mut town.shop;
    let moved = wait_for("the order to hear of it", SOON, async || {
        let order = shop.orders.get_order(get.clone()).await.unwrap().into_inner().order.unwrap();
        (!order.allocations.is_empty()).then_some(order)
    })
    .await;
    let places: Vec<_> =
        moved.allocations.iter().map(|one| (one.sku.as_str(), one.location_id.as_str(), one.quantity)).collect();
    let mut expected = [("A", STORE, 3), ("A", WAREHOUSE, 2), ("B", WAREHOUSE, 1)];
    expected.sort_unstable();
    assert_eq!(places, expected);
    books::drained(town.db.pool(), SOON).await;
    books::balanced(town.db.pool(), &town.clock).await;

    let request = town.shop.shipment(&order.order_id);
    town.shop.orders.ship_order(request).await.unwrap();
    assert_eq!(town.shop.level(WAREHOUSE, "A").await.unwrap(), (8, 0, 0));
    assert_eq!(town.shop.level(STORE, "A").await.unwrap(), (0, 0, 0));
    town.shows(STORE, "A", 0, 500).await;
    town.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_gives_everything_back() {
    let mut town = Town::open().await;
    town.dealer_has_own_prices().await;
    let web = town.place(WEB, "", MEMBER, &[("A", 4)]).await;
    let dealer = town.place(DEALERS, DEALER, "", &[("A", 6)]).await;
    town.shows(WEB, "A", 0, 500).await;
    let request = town.shop.basket(WEB, "", MEMBER, &[("A", 1)]).await.unwrap();
    let refused = town.shop.orders.place_order(request).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().reason, "INSUFFICIENT_STOCK");

    for order in [&web, &dealer] {
        let request = town.shop.cancellation(&order.order_id);
        let cancelled = town.shop.orders.cancel_order(request).await.unwrap().into_inner().order.unwrap();
        assert_eq!(cancelled.state(), orders::OrderState::Cancelled);
    }
    town.shows(WEB, "A", 10, 500).await;
    assert_eq!(town.shop.level(WAREHOUSE, "A").await.unwrap(), (10, 0, 0));
    assert_eq!(town.shop.credit().await.unwrap(), (0, 0));
    assert_eq!(town.shop.points(MEMBER).await.unwrap(), 0);
    town.close().await;
}
