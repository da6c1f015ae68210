//! The CloudEvents 1.0 protobuf format, as far as it is used here: what an outbox row and an AMQP message carry.
//!
//! The messages are those of `proto/io/cloudevents/v1/cloudevents.proto`, written by hand because this crate does not
//! depend on the contracts: any CloudEvents library reads what the relay publishes. Per event:
//!
//! | attribute | from |
//! |---|---|
//! | `id`, `type`, `subject` | the event's id, its message's name, its aggregate's id |
//! | `source` | `/oneshelf/<service>` |
//! | `aggregateversion` | decimal text: a CloudEvents integer has 32 bits |
//! | `effectiveat`, `time` | when it became true, when it was recorded |
//! | `traceparent` | the request that made it, if it was traced |
//! | data | the message's bytes, `datacontenttype` `application/protobuf` |

use std::{collections::BTreeMap, time::SystemTime};

use chrono::{DateTime, Utc};
use prost::{Message, bytes::Bytes};
use prost_types::Timestamp;
use uuid::Uuid;

use crate::consumer::Event;

pub const CONTENT_TYPE: &str = "application/cloudevents-batch+protobuf";
const DATA_CONTENT_TYPE: &str = "application/protobuf";
const SPEC_VERSION: &str = "1.0";

/// `CloudEventBatch`, with its events still encoded: an embedded message and bytes look the same on the wire. So a
/// batch is taken apart and put together without reading what is inside, and two batches one after the other are one.
#[derive(Clone, PartialEq, prost::Message)]
struct EncodedBatch {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    events: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CloudEvent {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub source: String,
    #[prost(string, tag = "3")]
    pub spec_version: String,
    #[prost(string, tag = "4")]
    pub r#type: String,
    #[prost(btree_map = "string, message", tag = "5")]
    pub attributes: BTreeMap<String, AttributeValue>,
    #[prost(oneof = "Data", tags = "6, 7, 8")]
    pub data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Data {
    #[prost(bytes = "bytes", tag = "6")]
    Binary(Bytes),
    #[prost(string, tag = "7")]
    Text(String),
    #[prost(message, tag = "8")]
    Proto(prost_types::Any),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeValue {
    #[prost(oneof = "Attribute", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub attr: Option<Attribute>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Attribute {
    #[prost(bool, tag = "1")]
    Boolean(bool),
    #[prost(int32, tag = "2")]
    Integer(i32),
    #[prost(string, tag = "3")]
    String(String),
    #[prost(bytes = "vec", tag = "4")]
    Bytes(Vec<u8>),
    #[prost(string, tag = "5")]
    Uri(String),
    #[prost(string, tag = "6")]
    UriRef(String),
    #[prost(message, tag = "7")]
    Timestamp(Timestamp),
}

/// Why a received event cannot be one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event: {0} is missing or malformed")]
pub struct Malformed(&'static str);

impl CloudEvent {
    /// One of our events, recorded at `recorded_at`, as an envelope.
    pub fn of(source: String, event: Event, recorded_at: DateTime<Utc>) -> Self {
        let mut attributes = BTreeMap::new();
        let mut set = |name: &str, value| {
            attributes.insert(name.to_owned(), AttributeValue { attr: Some(value) });
        };
        set("datacontenttype", Attribute::String(DATA_CONTENT_TYPE.to_owned()));
        set("subject", Attribute::String(event.aggregate_id));
        set("aggregateversion", Attribute::String(event.aggregate_version.to_string()));
        set("effectiveat", Attribute::Timestamp(timestamp(event.effective_at)));
        set("time", Attribute::Timestamp(timestamp(recorded_at)));
        if let Some(traceparent) = event.traceparent {
            set("traceparent", Attribute::String(traceparent));
        }
        Self {
            id: event.id.to_string(),
            source,
            spec_version: SPEC_VERSION.to_owned(),
            r#type: event.event_type,
            attributes,
            data: Some(Data::Binary(event.payload)),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)?.attr.as_ref()? {
            Attribute::String(text) | Attribute::Uri(text) | Attribute::UriRef(text) => Some(text),
            _ => None,
        }
    }

    fn instant(&self, name: &str) -> Option<DateTime<Utc>> {
        match self.attributes.get(name)?.attr.as_ref()? {
            Attribute::Timestamp(at) => SystemTime::try_from(*at).ok().map(DateTime::from),
            _ => None,
        }
    }
}

impl TryFrom<CloudEvent> for Event {
    type Error = Malformed;

    fn try_from(envelope: CloudEvent) -> Result<Self, Malformed> {
        let aggregate_version = envelope
            .text("aggregateversion")
            .and_then(|version| version.parse().ok())
            .ok_or(Malformed("aggregateversion"))?;
        let event = Self {
            id: envelope.id.parse::<Uuid>().map_err(|_| Malformed("id"))?,
            aggregate_id: envelope.text("subject").ok_or(Malformed("subject"))?.to_owned(),
            aggregate_version,
            effective_at: envelope.instant("effectiveat").ok_or(Malformed("effectiveat"))?,
            traceparent: envelope.text("traceparent").map(str::to_owned),
            event_type: envelope.r#type,
            payload: match envelope.data {
                Some(Data::Binary(bytes)) => bytes,
                Some(Data::Proto(any)) => any.value.into(),
                // An empty message encodes to no bytes, but the field is still there.
                Some(Data::Text(_)) | None => return Err(Malformed("data")),
            },
        };
        if event.event_type.is_empty() { Err(Malformed("type")) } else { Ok(event) }
    }
}

/// Takes a message's body apart into encoded events; `None` when it is no batch.
pub(crate) fn split_batch(body: Bytes) -> Option<Vec<Bytes>> {
    let batch = EncodedBatch::decode(body).ok()?;
    (!batch.events.is_empty()).then_some(batch.events)
}

/// Puts encoded events together.
pub(crate) fn join_batch(events: Vec<Bytes>) -> Vec<u8> {
    EncodedBatch { events }.encode_to_vec()
}

/// Reads one encoded event.
pub(crate) fn decode_event(encoded: Bytes) -> Result<Event, Malformed> {
    CloudEvent::decode(encoded).map_err(|_| Malformed("the envelope"))?.try_into()
}

fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            id: Uuid::from_u128(7),
            event_type: "oneshelf.inventory.v1.StockLevelChanged".to_owned(),
            aggregate_id: "SHIRT-M@HAM".to_owned(),
            aggregate_version: i64::MAX,
            effective_at: "2026-11-23T10:00:00.123456Z".parse().unwrap(),
            payload: Bytes::from_static(b"\x08\x01"),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        }
    }

    fn envelope() -> CloudEvent {
        CloudEvent::of("/oneshelf/inventory".to_owned(), event(), event().effective_at)
    }

    #[test]
    fn an_event_survives_the_envelope_unchanged() {
        let encoded = || Bytes::from(envelope().encode_to_vec());
        let mut body = join_batch(vec![encoded(), encoded()]);
        body.extend(join_batch(vec![encoded()]));
        let read: Vec<Event> =
            split_batch(body.into()).unwrap().into_iter().map(|encoded| decode_event(encoded).unwrap()).collect();
        assert_eq!(read, [event(), event(), event()], "two batches in a row are one");
    }

    #[test]
    fn an_event_without_its_attributes_is_malformed() {
        for name in ["subject", "aggregateversion", "effectiveat"] {
            let mut envelope = envelope();
            envelope.attributes.remove(name);
            assert_eq!(Event::try_from(envelope), Err(Malformed(name)));
        }
        assert_eq!(Event::try_from(CloudEvent { id: "7".to_owned(), ..envelope() }), Err(Malformed("id")));
        assert_eq!(Event::try_from(CloudEvent { data: None, ..envelope() }), Err(Malformed("data")));
    }

    #[test]
    fn bytes_that_are_no_batch_are_not_read() {
        assert!(split_batch(Bytes::from_static(b"not protobuf at all")).is_none());
        assert!(split_batch(Bytes::new()).is_none());
        assert_eq!(decode_event(Bytes::from_static(b"not protobuf at all")), Err(Malformed("the envelope")));
    }
}
