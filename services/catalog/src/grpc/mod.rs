//! The transport: convert in, one use case, convert out.

mod convert;
mod status;

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt as _};
use oneshelf_kit::status::caller;
use oneshelf_pricing::KeyRing;
use oneshelf_proto::catalog::v1::{self as proto, catalog_service_server::CatalogService};
use tonic::{Request, Response, Status};

use self::{
    convert::{price_lists, products, quotes},
    status::status,
};
use crate::usecases::Catalog;

pub struct CatalogGrpc {
    pub catalog: Arc<Catalog>,
    pub keys: KeyRing,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CatalogService for CatalogGrpc {
    async fn batch_create_products(
        &self,
        request: Request<proto::BatchCreateProductsRequest>,
    ) -> Answer<proto::BatchCreateProductsResponse> {
        let caller = caller(&request)?;
        let (key, asked) = products::create(request.into_inner())?;
        let created = self.catalog.batch_create_products(&caller, key, asked).await.map_err(status)?;
        let products = created.into_iter().map(products::product_proto).collect();
        Ok(Response::new(proto::BatchCreateProductsResponse { products }))
    }

    async fn get_product(&self, request: Request<proto::GetProductRequest>) -> Answer<proto::GetProductResponse> {
        let caller = caller(&request)?;
        let product_id = products::product_id(&request.get_ref().product_id)?;
        let product = self.catalog.get_product(&caller, &product_id).await.map_err(status)?;
        Ok(Response::new(proto::GetProductResponse { product: Some(products::product_proto(product)) }))
    }

    async fn list_products(&self, request: Request<proto::ListProductsRequest>) -> Answer<proto::ListProductsResponse> {
        let caller = caller(&request)?;
        let (after, size) = products::list(request.get_ref())?;
        let page = self.catalog.list_products(&caller, after.as_ref(), size).await.map_err(status)?;
        Ok(Response::new(products::list_proto(page)))
    }

    async fn get_variant(&self, request: Request<proto::GetVariantRequest>) -> Answer<proto::GetVariantResponse> {
        let caller = caller(&request)?;
        let key = products::variant_key(request.get_ref())?;
        let variant = self.catalog.get_variant(&caller, &key).await.map_err(status)?;
        Ok(Response::new(proto::GetVariantResponse { variant: Some(products::variant_proto(variant)) }))
    }

    async fn create_price_list(
        &self,
        request: Request<proto::CreatePriceListRequest>,
    ) -> Answer<proto::CreatePriceListResponse> {
        let caller = caller(&request)?;
        let (key, asked) = price_lists::create(request.into_inner())?;
        let list = self.catalog.create_price_list(&caller, key, asked).await.map_err(status)?;
        let price_list = Some(price_lists::price_list_proto(list));
        Ok(Response::new(proto::CreatePriceListResponse { price_list }))
    }

    async fn list_price_lists(
        &self,
        request: Request<proto::ListPriceListsRequest>,
    ) -> Answer<proto::ListPriceListsResponse> {
        let caller = caller(&request)?;
        let (after, size) = price_lists::list(request.get_ref())?;
        let page = self.catalog.list_price_lists(&caller, after.as_ref(), size).await.map_err(status)?;
        Ok(Response::new(price_lists::list_proto(page)))
    }

    async fn publish_price_list(
        &self,
        request: Request<proto::PublishPriceListRequest>,
    ) -> Answer<proto::PublishPriceListResponse> {
        let caller = caller(&request)?;
        let (key, publish) = price_lists::publish(request.into_inner())?;
        let book = self.catalog.publish_price_list(&caller, key, publish).await.map_err(status)?;
        let price_book = Some(price_lists::book_proto(book));
        Ok(Response::new(proto::PublishPriceListResponse { price_book }))
    }

    async fn list_prices(&self, request: Request<proto::ListPricesRequest>) -> Answer<proto::ListPricesResponse> {
        let caller = caller(&request)?;
        let asked = price_lists::list_prices(request.get_ref())?;
        let page = self
            .catalog
            .list_prices(&caller, &asked.price_list_id, asked.sku.as_ref(), asked.after.as_ref(), asked.size)
            .await
            .map_err(status)?;
        Ok(Response::new(price_lists::prices_proto(page)))
    }

    async fn get_price_book(
        &self,
        request: Request<proto::GetPriceBookRequest>,
    ) -> Answer<proto::GetPriceBookResponse> {
        let caller = caller(&request)?;
        let book = self.catalog.get_price_book(&caller).await.map_err(status)?;
        Ok(Response::new(proto::GetPriceBookResponse { price_book: book.map(price_lists::book_proto) }))
    }

    async fn quote_prices(&self, request: Request<proto::QuotePricesRequest>) -> Answer<proto::QuotePricesResponse> {
        let caller = caller(&request)?;
        let asked = quotes::request(request.into_inner())?;
        let quote = self.catalog.quote_prices(&caller, asked).map_err(status)?;
        Ok(Response::new(quotes::sealed(quote, &self.keys)))
    }

    async fn explain_price(&self, request: Request<proto::ExplainPriceRequest>) -> Answer<proto::ExplainPriceResponse> {
        let caller = caller(&request)?;
        let question = quotes::explain(request.get_ref())?;
        let explained = self.catalog.explain_price(&caller, question).map_err(status)?;
        Ok(Response::new(quotes::explained_proto(explained)))
    }

    type WatchPricesStream = Pin<Box<dyn Stream<Item = Result<proto::WatchPricesResponse, Status>> + Send>>;

    async fn watch_prices(&self, request: Request<proto::WatchPricesRequest>) -> Answer<Self::WatchPricesStream> {
        let caller = caller(&request)?;
        let (price_list_id, after) = price_lists::watch(request.get_ref())?;
        let changes = self.catalog.watch_prices(&caller, &price_list_id, after).await.map_err(status)?;
        let messages = changes.map(|item| item.map(|changes| price_lists::changes_proto(&changes)).map_err(status));
        Ok(Response::new(Box::pin(messages)))
    }
}
