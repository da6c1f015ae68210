//! Live traffic at a gentle rate: web and dealer orders, tills, carts, returns, price changes, deliveries.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use oneshelf_proto::{
    catalog::v1 as catalog, inventory::v1 as inventory, orders::v1 as orders, partners::v1 as partners,
};
use oneshelf_values::{Clock, new_id};
use prost_types::Timestamp;
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{seed::unit_price, shop};
use crate::api::Api;

/// What happened since the start.
#[derive(Default)]
pub struct Tally {
    pub orders: AtomicU64,
    pub tickets: AtomicU64,
    pub holds: AtomicU64,
    pub returns: AtomicU64,
    pub prices: AtomicU64,
    /// Refused for a reason of business: not enough stock or credit.
    pub refused: AtomicU64,
    pub failed: AtomicU64,
}

/// One buyer after the other until stopped, `rate` per second on average.
pub async fn sell(
    api: Api,
    clock: Clock,
    articles: Arc<[shop::Article]>,
    rate: f64,
    tally: Arc<Tally>,
    stop: CancellationToken,
) {
    let mut rng = ChaCha8Rng::from_os_rng();
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / rate.clamp(0.1, 200.0)));
    let mut number = 0_u64;
    let visit = Visit { api, clock, articles, tally, stop: stop.clone() };
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        number += 1;
        let plan = Plan::next(&mut rng, number, visit.articles.len());
        let visit = visit.clone();
        tokio::spawn(async move { visit.run(plan).await });
    }
}

/// What one visit does, decided beforehand.
enum Plan {
    Order {
        channel: &'static str,
        partner: &'static str,
        lines: Vec<(usize, i64)>,
        member: String,
        ship: bool,
        back: bool,
    },
    Ticket {
        shop: &'static str,
        lines: Vec<(usize, i64)>,
        member: String,
        number: u64,
    },
    Cart {
        line: (usize, i64),
    },
    Reprice {
        first: usize,
        percent: i64,
    },
    Delivery {
        first: usize,
    },
}

impl Plan {
    fn next(rng: &mut ChaCha8Rng, number: u64, articles: usize) -> Self {
        let count = rng.random_range(1..=5);
        let lines = (0..count).map(|_| (rng.random_range(0..articles), rng.random_range(1..=3))).collect();
        let member = shop::member(rng.random_range(0..shop::MEMBERS));
        match number % 20 {
            0 => Self::Reprice { first: rng.random_range(0..articles - 10), percent: rng.random_range(85..=110) },
            10 => Self::Delivery { first: rng.random_range(0..articles - 100) },
            1 | 6 | 11 | 16 => Self::Ticket {
                shop: shop::SHOPS.choose(rng).unwrap_or(&shop::SHOPS[0]),
                lines,
                member,
                number: rng.random(),
            },
            3 | 13 => Self::Cart { line: (rng.random_range(0..articles), 1) },
            5 | 15 => Self::Order {
                channel: shop::DEALER_CHANNEL,
                partner: shop::DEALERS.choose(rng).unwrap_or(&shop::DEALERS[0]).0,
                lines: lines_of(rng, articles),
                member: String::new(),
                ship: true,
                back: false,
            },
            _ => Self::Order {
                channel: shop::WEB_CHANNELS.choose(rng).unwrap_or(&shop::WEB_CHANNELS[0]),
                partner: "",
                lines,
                member,
                ship: rng.random_bool(0.9),
                back: rng.random_bool(0.1),
            },
        }
    }
}

/// A dealer buys more of fewer things.
fn lines_of(rng: &mut ChaCha8Rng, articles: usize) -> Vec<(usize, i64)> {
    (0..3).map(|_| (rng.random_range(0..articles), rng.random_range(5..=20))).collect()
}

#[derive(Clone)]
struct Visit {
    api: Api,
    clock: Clock,
    articles: Arc<[shop::Article]>,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

impl Visit {
    async fn run(mut self, plan: Plan) {
        let tally = self.tally.clone();
        let outcome = match plan {
            Plan::Order { channel, partner, lines, member, ship, back } => {
                self.order(channel, partner, &lines, member, ship, back).await
            }
            Plan::Ticket { shop, lines, member, number } => self.ticket(shop, &lines, member, number).await,
            Plan::Cart { line } => self.cart(line).await,
            Plan::Reprice { first, percent } => self.reprice(first, percent).await,
            Plan::Delivery { first } => self.delivery(first).await,
        };
        match outcome {
            Ok(()) => {}
            // The shop closes while this visitor is inside.
            Err(_) if self.stop.is_cancelled() => {}
            Err(status) if status.code() == Code::FailedPrecondition => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%status, "a demo visit failed");
            }
        }
    }

    fn id(&self) -> String {
        new_id(&self.clock).to_string()
    }

    async fn order(
        &mut self,
        channel: &str,
        partner: &str,
        lines: &[(usize, i64)],
        member_id: String,
        ship: bool,
        back: bool,
    ) -> Result<(), Status> {
        let quote = catalog::QuotePricesRequest {
            channel_id: channel.to_owned(),
            partner_id: partner.to_owned(),
            currency_code: shop::CURRENCY.to_owned(),
            lines: lines
                .iter()
                .map(|(article, quantity)| catalog::QuoteLine {
                    sku: self.articles[*article].sku.clone(),
                    quantity: *quantity,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let quote = self.api.catalog.quote_prices(quote).await?.into_inner();
        let order_id = self.id();
        let place = orders::PlaceOrderRequest {
            request_id: order_id.clone(),
            signed_quote: quote.signed_quote,
            location_id: shop::WAREHOUSE.to_owned(),
            member_id: member_id.clone(),
            ..Default::default()
        };
        self.api.orders.place_order(place).await?;
        self.tally.orders.fetch_add(1, Ordering::Relaxed);
        self.tally.holds.fetch_add(1, Ordering::Relaxed);
        if !ship {
            let reason = "changed their mind".to_owned();
            let cancel = orders::CancelOrderRequest { request_id: self.id(), order_id, reason };
            self.api.orders.cancel_order(cancel).await?;
            return Ok(());
        }
        let ship = orders::ShipOrderRequest { request_id: self.id(), order_id: order_id.clone(), ..Default::default() };
        self.api.orders.ship_order(ship).await?;
        if back {
            let items = vec![orders::ReturnItem { order_id, order_line_no: 1, quantity: 1, ..Default::default() }];
            let items = orders::ReturnItemsRequest {
                request_id: self.id(),
                channel_id: channel.to_owned(),
                // Bought on the web, returned in a store.
                location_id: shop::SHOPS[0].to_owned(),
                member_id,
                items,
                currency_code: shop::CURRENCY.to_owned(),
                ..Default::default()
            };
            self.api.orders.return_items(items).await?;
            self.tally.returns.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn ticket(
        &mut self,
        shop: &str,
        lines: &[(usize, i64)],
        member_id: String,
        number: u64,
    ) -> Result<(), Status> {
        let now = self.clock.now();
        let ticket = orders::Ticket {
            device_id: format!("TILL-{shop}"),
            ticket_no: format!("{number:016x}"),
            channel_id: shop.to_owned(),
            location_id: shop.to_owned(),
            member_id,
            currency_code: shop::CURRENCY.to_owned(),
            lines: lines
                .iter()
                .map(|(article, quantity)| orders::TicketLine {
                    sku: self.articles[*article].sku.clone(),
                    quantity: *quantity,
                    unit_price: Some(unit_price(self.articles[*article].pence)),
                    ..Default::default()
                })
                .collect(),
            sale_time: Some(Timestamp { seconds: now.timestamp(), nanos: 0 }),
            ..Default::default()
        };
        let tickets = tokio_stream::once(orders::RecordSalesRequest { ticket: Some(ticket) });
        let mut results = self.api.orders.record_sales(tickets).await?.into_inner();
        while let Some(result) = results.message().await? {
            if result.outcome() == orders::TicketOutcome::Refused {
                return Err(Status::internal(format!("ticket refused: {} {}", result.reason, result.message)));
            }
            self.tally.tickets.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A cart that is looked at and left: its hold runs out by itself.
    async fn cart(&mut self, (article, quantity): (usize, i64)) -> Result<(), Status> {
        let hold = inventory::HoldStockRequest {
            request_id: self.id(),
            kind: inventory::HoldKind::Soft.into(),
            lines: vec![inventory::HoldRequestLine {
                sku: self.articles[article].sku.clone(),
                location_id: shop::WAREHOUSE.to_owned(),
                quantity,
            }],
            ttl: Some(prost_types::Duration { seconds: 20, nanos: 0 }),
            channel_id: "WEB".to_owned(),
            reference: "cart".to_owned(),
            ..Default::default()
        };
        self.api.inventory.hold_stock(hold).await?;
        self.tally.holds.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn reprice(&mut self, first: usize, percent: i64) -> Result<(), Status> {
        for (channel, ..) in shop::channels() {
            let entries = self.articles[first..first + 10]
                .iter()
                .map(|article| catalog::PriceEntry {
                    sku: article.sku.clone(),
                    unit_price: Some(unit_price((article.pence * percent / 100).max(1))),
                    ..Default::default()
                })
                .collect();
            let publish = catalog::PublishPriceListRequest {
                request_id: self.id(),
                price_list_id: shop::price_list(channel),
                entries,
                activate_time: None,
            };
            self.api.catalog.publish_price_list(publish).await?;
        }
        self.tally.prices.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn delivery(&mut self, first: usize) -> Result<(), Status> {
        for location in std::iter::once(shop::WAREHOUSE).chain(shop::SHOPS) {
            let lines = self.articles[first..first + 100]
                .iter()
                .map(|article| inventory::StockLine { sku: article.sku.clone(), quantity: 10, ..Default::default() })
                .collect();
            let receipt = inventory::ReceiveStockRequest {
                request_id: self.id(),
                location_id: location.to_owned(),
                lines,
                reference: "delivery".to_owned(),
                effective_time: None,
            };
            self.api.inventory.receive_stock(receipt).await?;
        }
        // Dealers pay what they owe, so their credit never runs dry.
        for (partner_id, _) in shop::DEALERS {
            let account = partners::GetCreditAccountRequest { partner_id: partner_id.to_owned() };
            let account = self.api.partners.get_credit_account(account).await?.into_inner().account.unwrap_or_default();
            let Some(owed) = account.used.filter(|used| used.minor_units > 0) else { continue };
            let payment = partners::RecordPaymentRequest {
                request_id: self.id(),
                partner_id: partner_id.to_owned(),
                amount: Some(owed),
                reference: "bank transfer".to_owned(),
            };
            self.api.partners.record_payment(payment).await?;
        }
        Ok(())
    }
}
