//! Messages as bytes, so that one client speaks to every RPC.

use oneshelf_kit::grpc::client::ClientChannel;
use prost::bytes::{Buf as _, BufMut as _};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

pub(super) struct Wire(ClientChannel);

impl Wire {
    pub(super) fn new(channel: ClientChannel) -> Self {
        Self(channel)
    }

    /// Sends one message and gives the first of the answer; of an `endless` stream only whether it opened.
    pub(super) async fn first_answer(&self, path: String, message: Vec<u8>, endless: bool) -> Result<Vec<u8>, Status> {
        let mut client = Grpc::new(self.0.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = path.parse().map_err(|_| Status::internal("the method's path"))?;
        let request = Request::new(futures::stream::iter([message]));
        let mut answers = client.streaming(request, path, Raw).await?.into_inner();
        if endless {
            return Ok(Vec::new());
        }
        answers.message().await.map(Option::unwrap_or_default)
    }
}

#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; from.remaining()];
        from.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}
