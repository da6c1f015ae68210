//! Bad input, field by field, made from the contract.
//!
//! A test gives one good request per RPC, with every field set. The walk spoils one field at a time by the rules of its
//! kind, sends what results to the real server, and wants INVALID_ARGUMENT that names this field and no other. Then
//! nothing may have changed in the tables, and the good request must do: so each refused one was one field away from it.
//!
//! | kind of field | spoilt by |
//! |---|---|
//! | any | left out, empty, zero |
//! | text | control characters, 10,000 characters; ids, SKUs, currencies and tokens by what each must look like |
//! | number | the smallest and largest of its type, −1 |
//! | enum | numbers that no value has |
//! | money, price | another currency than that of the whole |
//! | instant, duration | out of range, nanoseconds out of range, negative; far ahead |
//! | the whole | no message at all; larger than a server reads |
//! | list | one element too many; and as many as may be, all empty: such an answer, too, must arrive |
//!
//! What is special about a field is said beside its request: what may be empty, what is output only, how long a list
//! may be. A name that is said there and does not exist fails the test, and so does an RPC without a request.

mod spoil;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use sqlx::{AssertSqlSafe, PgPool};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use self::wire::Wire;
use crate::{Server, wait_for};

/// A good request, and what is special about some of its fields. Fields are named by their path without indexes:
/// `lines.unit_price.micros`.
pub struct Good {
    rpc: &'static str,
    request: Vec<u8>,
    optional: Names,
    ignored: Names,
    absent: Names,
    elsewhere: Names,
    signed: Names,
    unbounded: Names,
    any_currency: Names,
    may_lie_ahead: Names,
    at_most: &'static [(&'static str, usize)],
    told_as: &'static [(&'static str, &'static str)],
    told_in_answer: Option<TellsFields>,
}

/// Reads from an encoded answer which fields it says are wrong.
pub type TellsFields = fn(&[u8]) -> Vec<String>;

type Names = &'static [&'static str];

impl Good {
    /// `rpc` is the method's name: `HoldStock`.
    pub fn new(rpc: &'static str, request: &impl Message) -> Self {
        Self {
            rpc,
            request: request.encode_to_vec(),
            optional: &[],
            ignored: &[],
            absent: &[],
            elsewhere: &[],
            signed: &[],
            unbounded: &[],
            any_currency: &[],
            may_lie_ahead: &[],
            at_most: &[],
            told_as: &[],
            told_in_answer: None,
        }
    }

    /// May be empty, zero or left out. `page_size` and `page_token` always may.
    #[must_use]
    pub fn optional(self, optional: Names) -> Self {
        Self { optional, ..self }
    }

    /// Output only: whatever is sent is ignored.
    #[must_use]
    pub fn ignored(self, ignored: Names) -> Self {
        Self { ignored, ..self }
    }

    /// Cannot be set beside the others; another request of the same RPC sets them.
    #[must_use]
    pub fn absent(self, absent: Names) -> Self {
        Self { absent, ..self }
    }

    /// Not set, and not spoilt here: other tests do so.
    #[must_use]
    pub fn elsewhere(self, elsewhere: Names) -> Self {
        Self { elsewhere, ..self }
    }

    /// May be below zero.
    #[must_use]
    pub fn signed(self, signed: Names) -> Self {
        Self { signed, ..self }
    }

    /// The largest number of the type is well-formed; with `signed`, the smallest too.
    #[must_use]
    pub fn unbounded(self, unbounded: Names) -> Self {
        Self { unbounded, ..self }
    }

    /// Any currency will do here: nothing else in sight is in one.
    #[must_use]
    pub fn any_currency(self, any_currency: Names) -> Self {
        Self { any_currency, ..self }
    }

    /// Instants that may lie in the future.
    #[must_use]
    pub fn may_lie_ahead(self, may_lie_ahead: Names) -> Self {
        Self { may_lie_ahead, ..self }
    }

    /// How long lists may be. Every list needs a bound.
    #[must_use]
    pub fn at_most(self, at_most: &'static [(&'static str, usize)]) -> Self {
        Self { at_most, ..self }
    }

    /// What is wrong with the first is told as of the second: lines and fees that are counted together.
    #[must_use]
    pub fn told_as(self, told_as: &'static [(&'static str, &'static str)]) -> Self {
        Self { told_as, ..self }
    }

    /// For a stream of requests: the fields that its first answer names; none when it was accepted.
    #[must_use]
    pub fn told_in_answer(self, fields: TellsFields) -> Self {
        Self { told_in_answer: Some(fields), ..self }
    }
}

/// More than the 4 MiB that servers read by default.
const TOO_LARGE: usize = 5_000_000;
/// The head of a field 2047 that nobody knows, of [`TOO_LARGE`] bytes.
const UNKNOWN_FIELD: [u8; 6] = [0xfa, 0x7f, 0xc0, 0x96, 0xb1, 0x02];

/// One spoilt request.
struct Spoilt {
    /// The field that must be named, as in `lines[0].quantity`.
    field: String,
    how: String,
    request: Vec<u8>,
    /// Everything of a list is wrong: its elements are named instead, as many as fit.
    all_of_list: bool,
}

/// Sends every spoilt request of a service and wants each refused by its field, and nothing changed.
///
/// # Panics
/// With every field that was not refused as it must be.
pub async fn assert_bad_input_is_refused(
    server: &Server,
    pool: &PgPool,
    descriptors: &[u8],
    service: &str,
    goods: Vec<Good>,
) {
    assert_bad_input_is_refused_but(server, pool, descriptors, service, goods, &[]).await;
}

/// The same, without some RPCs that have no good request yet. Named one by one, so that no new RPC is forgotten.
///
/// # Panics
/// As the other; and with an RPC that is named here and has a good request, or does not exist.
pub async fn assert_bad_input_is_refused_but(
    server: &Server,
    pool: &PgPool,
    descriptors: &[u8],
    service: &str,
    goods: Vec<Good>,
    elsewhere: &[&str],
) {
    let descriptors = DescriptorPool::decode(descriptors).expect("a descriptor set");
    let service = descriptors.get_service_by_name(service).expect("the service's name");
    let schema = service.package_name().split('.').nth(1).expect("oneshelf.<service>.v1").to_owned();
    let mut wrong = Vec::new();
    let mut left_out: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut walked: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut spoilt = Vec::with_capacity(goods.len());
    for good in &goods {
        let method = service.methods().find(|method| method.name() == good.rpc).expect("the RPC's name");
        let request = DynamicMessage::decode(method.input(), &good.request[..]).expect("a request of this RPC");
        let walk = spoil::walk(good, &request);
        wrong.extend(walk.mistakes.into_iter().map(|mistake| format!("{}: {mistake}", good.rpc)));
        left_out.entry(good.rpc).or_default().extend(walk.absent);
        walked.entry(good.rpc).or_default().extend(walk.seen);
        spoilt.push((good, method, walk.spoilt));
    }
    for method in service.methods() {
        match (walked.contains_key(method.name()), elsewhere.contains(&method.name())) {
            (true, false) | (false, true) => {}
            (false, false) => wrong.push(format!("{}: has no good request to spoil", method.name())),
            (true, true) => wrong.push(format!("{}: is spoilt here and said to be elsewhere", method.name())),
        }
    }
    for rpc in elsewhere {
        if service.methods().all(|method| method.name() != *rpc) {
            wrong.push(format!("{rpc}: does not exist"));
        }
    }
    for (rpc, fields) in &left_out {
        wrong.extend(fields.difference(&walked[rpc]).map(|field| format!("{rpc}: no request sets {field}")));
    }

    let wire = Wire::new(server.client().await);
    settle(pool, &schema).await;
    let before = content(pool, &schema).await;
    for (good, method, spoilt) in &spoilt {
        let too_large = [&good.request[..], &UNKNOWN_FIELD, &vec![0; TOO_LARGE]].concat();
        for (how, request) in [("no message", vec![255; 9]), ("too large", too_large)] {
            match answer(&wire, good, method, &request).await {
                Err(status) if status.code() == Code::InvalidArgument => {}
                other => wrong.push(format!("{}: {how}: {other:?}", good.rpc)),
            }
        }
        for one in spoilt {
            let Spoilt { field, how, .. } = one;
            if let Err(found) = refused(&wire, good, method, one).await {
                wrong.push(format!("{}: {field} {how}: {found}", good.rpc));
            }
        }
    }
    let after = content(pool, &schema).await;
    wrong.extend(before.iter().filter(|row| !after.contains(row)).map(|row| format!("changed: {row}")));
    wrong.extend(after.iter().filter(|row| !before.contains(row)).map(|row| format!("into: {row}")));
    for (good, method, _) in &spoilt {
        let named = answer(&wire, good, method, &good.request).await;
        if !matches!(&named, Ok(fields) if fields.is_empty()) {
            wrong.push(format!("{}: the good request: {named:?}", good.rpc));
        }
    }
    assert!(wrong.is_empty(), "{} of bad input:\n{}", wrong.len(), wrong.join("\n"));
}

/// What was found instead, unless it is as it must be.
async fn refused(wire: &Wire, good: &Good, method: &MethodDescriptor, spoilt: &Spoilt) -> Result<(), String> {
    let fields = match answer(wire, good, method, &spoilt.request).await {
        Ok(fields) if fields.is_empty() => return Err("accepted".to_owned()),
        Ok(fields) => fields,
        Err(status) if status.code() == Code::InvalidArgument => {
            let bad_request = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
            bad_request.into_iter().map(|violation| violation.field).collect()
        }
        Err(status) => return Err(format!("{:?}: {}", status.code(), status.message())),
    };
    let named = if spoilt.all_of_list {
        !fields.is_empty() && fields.iter().all(|field| field.starts_with(&spoilt.field))
    } else {
        fields == [spoilt.field.as_str()]
    };
    if named { Ok(()) } else { Err(format!("names {fields:?}")) }
}

/// The fields that an answer names; none when it was accepted.
async fn answer(wire: &Wire, good: &Good, method: &MethodDescriptor, request: &[u8]) -> Result<Vec<String>, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let answer =
        wire.first_answer(path, request.to_vec(), method.is_server_streaming() && !method.is_client_streaming());
    let bytes = answer.await?;
    Ok(good.told_in_answer.map(|fields| fields(&bytes)).unwrap_or_default())
}

/// Waits until what the good requests had to be prepared with is published: the relay's marks are no change of ours.
async fn settle(pool: &PgPool, schema: &str) {
    let unchanged = async || {
        let once = content(pool, schema).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        (content(pool, schema).await == once).then_some(())
    };
    wait_for("rest", std::time::Duration::from_secs(30), unchanged).await;
}

/// Every row of a schema's tables, hashed. What waits to be published, and what has arrived, is only counted: the
/// relay and the consumers go on with what was there before.
async fn content(pool: &PgPool, schema: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::TEXT FROM information_schema.tables WHERE table_schema = $1 AND table_type = 'BASE TABLE' ORDER BY 1",
    )
    .bind(schema)
    .fetch_all(pool)
    .await
    .expect("the tables are listed");
    let mut content = Vec::with_capacity(tables.len());
    for table in tables {
        let messaging = table.starts_with("outbox") || table.starts_with("inbox");
        let rows = if messaging { "''" } else { "COALESCE(md5(string_agg(t::TEXT, '|' ORDER BY t::TEXT)), '')" };
        let statement = format!("SELECT COUNT(*) || ' rows ' || {rows} FROM {schema}.{table} AS t");
        let found: String =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(pool).await.expect("the table is read");
        content.push(format!("{table}: {found}"));
    }
    content
}
