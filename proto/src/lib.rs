//! The contract: messages, clients and servers generated from the protos beside this crate.
//!
//! Comments live in the `.proto` files; they are the manual.
#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, rustdoc::all)]

/// The whole contract as an encoded `FileDescriptorSet`: for reflection and for tests that walk every RPC.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub mod r#type {
    pub mod v1 {
        tonic::include_proto!("oneshelf.r#type.v1");
    }
}

pub mod catalog {
    pub mod v1 {
        tonic::include_proto!("oneshelf.catalog.v1");
    }
}

pub mod inventory {
    pub mod v1 {
        tonic::include_proto!("oneshelf.inventory.v1");
    }
}

pub mod orders {
    pub mod v1 {
        tonic::include_proto!("oneshelf.orders.v1");
    }
}

pub mod partners {
    pub mod v1 {
        tonic::include_proto!("oneshelf.partners.v1");
    }
}

pub mod loyalty {
    pub mod v1 {
        tonic::include_proto!("oneshelf.loyalty.v1");
    }
}

pub mod channels {
    pub mod v1 {
        tonic::include_proto!("oneshelf.channels.v1");
    }
}

/// CloudEvents 1.0 in protobuf: the body of every AMQP message.
pub mod cloudevents {
    pub mod v1 {
        tonic::include_proto!("io.cloudevents.v1");
    }
}
