//! How the service is put together: pool, use cases, then what drives them.

use oneshelf_kit::{Chassis, consumer, grpc::Mounted, pg, redis::Fanout, relay, retention, schema::Schema};
use oneshelf_proto::channels::v1::channels_service_server::ChannelsServiceServer;

use crate::{
    config::Config,
    consumers::{prices_published, stock_level_changed},
    grpc::ChannelsGrpc,
    jobs,
    usecases::{Channels, wake::Wake},
};

/// Starts relay, consumers and jobs, and answers what to put on the gRPC server.
pub async fn start(cfg: &Config, chassis: &Chassis) -> anyhow::Result<Mounted> {
    cfg.validate().map_err(anyhow::Error::msg)?;
    let Chassis { clock, lifecycle, broker, redis, .. } = chassis;
    let stop = || lifecycle.soft().clone();
    let schema = Schema::new("channels");
    let pool = pg::connect(&cfg.database, "channels").await?;

    let (wake, outgoing) = Wake::new();
    let fanout = Fanout::new(redis.clone(), "channels.listings");
    lifecycle.spawn("channels wake-ups from Redis", fanout.clone().run(stop()));
    lifecycle.spawn("channels wake-ups received", wake.clone().receive(fanout.clone(), stop()));
    lifecycle.spawn("channels wake-ups sent", outgoing.send(fanout, stop()));

    let channels = Channels { pool: pool.clone(), schema, clock: clock.clone(), wake, pace: cfg.pace() };

    lifecycle.spawn("channels relay", relay::run(pool.clone(), schema, broker.clone(), clock.clone(), stop()));
    let stock = channels.clone();
    lifecycle.spawn(
        stock_level_changed::SUBSCRIPTION.queue,
        consumer::run(
            broker.clone(),
            pool.clone(),
            schema,
            clock.clone(),
            stop(),
            stock_level_changed::SUBSCRIPTION,
            move |conn, events| {
                let channels = stock.clone();
                Box::pin(async move { stock_level_changed::handle(&channels, conn, events).await })
            },
        ),
    );
    let prices = channels.clone();
    lifecycle.spawn(
        prices_published::SUBSCRIPTION.queue,
        consumer::run(
            broker.clone(),
            pool.clone(),
            schema,
            clock.clone(),
            stop(),
            prices_published::SUBSCRIPTION,
            move |conn, events| {
                let channels = prices.clone();
                Box::pin(async move { prices_published::handle(&channels, conn, events).await })
            },
        ),
    );
    lifecycle.spawn(
        "channels.activate_prices",
        jobs::activate_prices::run(channels.clone(), cfg.activate_prices_every(), stop()),
    );
    lifecycle.spawn(
        "channels retention",
        retention::run(pool.clone(), schema, clock.clone(), retention::Retention::default(), stop()),
    );

    let server =
        ChannelsServiceServer::new(ChannelsGrpc(channels)).max_decoding_message_size(chassis.max_message_bytes);
    Ok(Mounted::new("channels").service(server).pool(pool))
}
