//! A listener that keeps every message, and sends it all again.

use lapin::{
    BasicProperties, Channel, Connection,
    message::Delivery,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use oneshelf_proto::cloudevents::v1::CloudEventBatch;
use oneshelf_values::{Clock, new_id};
use prost::Message as _;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use uuid::Uuid;

use crate::stack::Stack;

const EXCHANGE: &str = "oneshelf.events";
const QUEUE: &str = "test.tap";

pub struct Tap {
    channel: Channel,
    /// Kept: the queue ends with it.
    _connection: Connection,
}

impl Tap {
    /// From now on every event is kept.
    pub async fn open(stack: &Stack) -> Self {
        let connection = stack.broker().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), exclusive, FieldTable::default()).await.expect("a queue");
        let (options, table) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(QUEUE.into(), EXCHANGE.into(), "#".into(), options, table).await.expect("a binding");
        Self { channel, _connection: connection }
    }

    /// What has come so far.
    pub async fn messages(&self) -> Vec<Delivery> {
        let mut messages = Vec::new();
        let taken = BasicGetOptions { no_ack: true };
        while let Some(message) = self.channel.basic_get(QUEUE.into(), taken).await.expect("the queue is read") {
            messages.push(message.delivery);
        }
        messages
    }

    async fn publish(&self, key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish(EXCHANGE.into(), key.into(), options, body, properties).await;
        assert!(sent.expect("is sent").await.expect("is confirmed").is_ack());
    }

    /// The messages as they came, in another order.
    pub async fn publish_shuffled(&self, messages: &[Delivery]) {
        let mut shuffled: Vec<&Delivery> = messages.iter().collect();
        shuffled.shuffle(&mut StdRng::seed_from_u64(7));
        for message in shuffled {
            self.publish(message.routing_key.as_str(), &message.data, message.properties.clone()).await;
        }
    }

    /// Every event in a message and under an id of its own, the last first; what was sent, by routing key and id.
    pub async fn publish_reversed_as_new(&self, messages: &[Delivery]) -> Vec<(String, Uuid)> {
        let clock = Clock::system();
        let mut sent = Vec::new();
        for message in messages.iter().rev() {
            let batch = CloudEventBatch::decode(&message.data[..]).expect("a batch of CloudEvents");
            for mut event in batch.events.into_iter().rev() {
                let id = new_id(&clock);
                event.id = id.to_string();
                let body = CloudEventBatch { events: vec![event] }.encode_to_vec();
                self.publish(message.routing_key.as_str(), &body, message.properties.clone()).await;
                sent.push((message.routing_key.to_string(), id));
            }
        }
        sent
    }
}
