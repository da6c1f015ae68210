//! No RPC answers a caller without a key, with a wrong key, or without the scope of the verb.

use oneshelf_proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use tonic::{Code, Request, Status, client::GrpcService, transport::Channel};

use crate::support::{Shop, refusal};

/// Calls every RPC with an empty message.
async fn refusals<T>(client: &mut CatalogServiceClient<T>, key: Option<&str>) -> Vec<Status>
where
    T: GrpcService<tonic::body::Body>,
    T::Error: Into<tonic::codegen::StdError>,
    T::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <T::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    let mut refused = Vec::new();
    macro_rules! call {
        ($($rpc:ident)+) => {$(
            let mut request = Request::new(Default::default());
            if let Some(key) = key {
                request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
            }
            refused.push(client.$rpc(request).await.map(drop).unwrap_err());
        )+};
    }
    call! {
        batch_create_products get_product list_products get_variant
        create_price_list list_price_lists publish_price_list list_prices
        get_price_book quote_prices watch_prices
    }
    refused
}

#[tokio::test]
async fn no_rpc_answers_without_a_key_or_with_a_wrong_one() {
    let shop = Shop::open().await;
    let channel = Channel::from_shared(format!("http://{}", shop.server.address())).unwrap().connect_lazy();
    let mut nobody = CatalogServiceClient::new(channel);
    for key in [None, Some("osk_0000000000000000_0"), Some("not a key"), Some("")] {
        for status in refusals(&mut nobody, key).await {
            assert_eq!(status.code(), Code::Unauthenticated, "{key:?} {status:?}");
        }
    }
}

#[tokio::test]
async fn no_rpc_answers_without_the_scope_of_its_verb() {
    let shop = Shop::open().await;
    let mut stranger = shop.client_for(&["inventory:*", "catalog:OverridePrice"], None, None).await;
    for status in refusals(&mut stranger, None).await {
        assert_eq!(refusal(&status), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    }
}
