//! Everything about a method that does not depend on the call, looked up by its path in one step.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Instant,
};

use metrics::{Counter, Gauge, Histogram};
use prost::{DecodeError, Message as _};
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use tonic::Code;

use crate::telemetry::{GRPC_HANDLED, GRPC_IN_FLIGHT, GRPC_SECONDS};

/// The methods of the mounted services, by path.
pub(super) struct Methods(HashMap<Box<str>, Arc<Method>>);

pub(super) struct Method {
    /// `/oneshelf.inventory.v1.InventoryService/HoldStock`
    pub(super) path: Box<str>,
    /// `inventory:HoldStock`; `None`: open to everybody (health, reflection).
    pub(super) permission: Option<Box<str>>,
    pub(super) client_streaming: bool,
    pub(super) server_streaming: bool,
    meter: Meter,
}

impl Method {
    pub(super) fn is_streaming(&self) -> bool {
        self.client_streaming || self.server_streaming
    }
}

impl Methods {
    /// Reads the methods of the services named in `mounted`. The error is a mounted service without a description:
    /// nothing would be known of who may call it.
    pub(super) fn try_new<'a>(
        descriptor_sets: impl IntoIterator<Item = &'a [u8]>,
        mounted: &HashSet<&'static str>,
    ) -> Result<Self, MethodsError> {
        let mut methods = HashMap::new();
        let mut missing = mounted.clone();
        for bytes in descriptor_sets {
            for file in FileDescriptorSet::decode(bytes)?.file {
                for service in &file.service {
                    let full_name = format!("{}.{}", file.package(), service.name());
                    if !missing.remove(full_name.as_str()) {
                        continue;
                    }
                    for method in &service.method {
                        let method = describe(file.package(), &full_name, method);
                        methods.insert(method.path.clone(), Arc::new(method));
                    }
                }
            }
        }
        match missing.into_iter().next() {
            Some(service) => Err(MethodsError::NotDescribed(service)),
            None => Ok(Self(methods)),
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Arc<Method>> {
        self.0.get(path)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MethodsError {
    #[error("the descriptor set cannot be decoded")]
    Decode(#[from] DecodeError),
    #[error("{0} is mounted but not in the descriptor set")]
    NotDescribed(&'static str),
}

fn describe(package: &str, service: &str, method: &MethodDescriptorProto) -> Method {
    let name = method.name();
    Method {
        path: format!("/{service}/{name}").into(),
        permission: (!package.starts_with("grpc.")).then(|| format!("{}:{name}", owner(package)).into()),
        client_streaming: method.client_streaming(),
        server_streaming: method.server_streaming(),
        meter: Meter::new(service, name),
    }
}

/// `inventory` of `oneshelf.inventory.v1`.
fn owner(package: &str) -> &str {
    let is_version =
        |part: &&str| part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    package.rsplit('.').find(|part| !is_version(part)).unwrap_or(package)
}

/// The method's instruments. They are made at first use, when the recorder is surely installed, and then cost an
/// atomic add each instead of a lookup by labels.
struct Meter {
    service: Box<str>,
    method: Box<str>,
    handled: [OnceLock<Counter>; CODES],
    seconds: OnceLock<Histogram>,
    in_flight: OnceLock<Gauge>,
}

const CODES: usize = Code::Unauthenticated as usize + 1;

impl Meter {
    fn new(service: &str, method: &str) -> Self {
        Self {
            service: service.into(),
            method: method.into(),
            handled: [const { OnceLock::new() }; CODES],
            seconds: OnceLock::new(),
            in_flight: OnceLock::new(),
        }
    }

    fn labels(&self) -> [(&'static str, String); 2] {
        [("service", self.service.to_string()), ("method", self.method.to_string())]
    }

    fn in_flight(&self) -> &Gauge {
        self.in_flight.get_or_init(|| metrics::gauge!(GRPC_IN_FLIGHT))
    }

    fn record(&self, code: Code, started: Instant) {
        self.seconds.get_or_init(|| metrics::histogram!(GRPC_SECONDS, &self.labels())).record(started.elapsed());
        self.handled[code as usize]
            .get_or_init(|| {
                let [service, method] = self.labels();
                metrics::counter!(GRPC_HANDLED, &[service, method, ("code", format!("{code:?}"))])
            })
            .increment(1);
    }
}

/// One call in progress. Dropped before it was finished, it counts as CANCELLED: the caller went away.
pub(super) struct Observed {
    method: Arc<Method>,
    started: Instant,
    code: Code,
}

impl Observed {
    pub(super) fn start(method: Arc<Method>, started: Instant) -> Self {
        method.meter.in_flight().increment(1.0);
        Self { method, started, code: Code::Cancelled }
    }

    pub(super) fn finish(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.method.meter.in_flight().decrement(1.0);
        self.method.meter.record(self.code, self.started);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(mounted: &[&'static str]) -> Result<Methods, MethodsError> {
        Methods::try_new([tonic_health::pb::FILE_DESCRIPTOR_SET], &mounted.iter().copied().collect())
    }

    #[test]
    fn a_method_is_known_by_its_path_only_when_its_service_is_mounted() {
        let methods = health(&["grpc.health.v1.Health"]).unwrap();
        let watch = methods.get("/grpc.health.v1.Health/Watch").unwrap();
        assert!(watch.server_streaming && !watch.client_streaming);
        assert!(health(&[]).unwrap().get("/grpc.health.v1.Health/Watch").is_none());
    }

    #[test]
    fn a_service_without_a_description_is_refused() {
        assert!(matches!(health(&["oneshelf.x.v1.X"]), Err(MethodsError::NotDescribed("oneshelf.x.v1.X"))));
    }

    #[test]
    fn the_permission_is_service_and_verb_and_the_infrastructure_is_open() {
        let verb = MethodDescriptorProto { name: Some("HoldStock".into()), ..Default::default() };
        let ours = describe("oneshelf.inventory.v1", "oneshelf.inventory.v1.InventoryService", &verb);
        assert_eq!(ours.permission.as_deref(), Some("inventory:HoldStock"));
        assert_eq!(&*ours.path, "/oneshelf.inventory.v1.InventoryService/HoldStock");
        assert_eq!(describe("grpc.health.v1", "grpc.health.v1.Health", &verb).permission, None);
    }
}
