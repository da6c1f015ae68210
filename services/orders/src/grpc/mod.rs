//! Transport in: parse, hand over, answer. No rule lives here.

pub mod convert;
pub mod record_sales;
pub mod status;

use oneshelf_kit::status::caller;
use oneshelf_proto::orders::v1::{self as proto, orders_service_server::OrdersService};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::usecases::Orders;
use status::from_error;

type Answer<T> = Result<Response<T>, Status>;

/// The service on the wire.
pub struct OrdersGrpc(pub Orders);

#[tonic::async_trait]
impl OrdersService for OrdersGrpc {
    async fn place_order(&self, request: Request<proto::PlaceOrderRequest>) -> Answer<proto::PlaceOrderResponse> {
        let caller = caller(&request)?;
        let command = convert::place_order(request.into_inner())?;
        let order = self.0.place_order(&caller, command).await.map_err(from_error)?;
        let order = Some(convert::order_message(order));
        Ok(Response::new(proto::PlaceOrderResponse { order }))
    }

    async fn get_order(&self, request: Request<proto::GetOrderRequest>) -> Answer<proto::GetOrderResponse> {
        let order_id = convert::one_id("order_id", &request.get_ref().order_id)?;
        let order = self.0.get_order(&caller(&request)?, order_id).await.map_err(from_error)?;
        let order = Some(convert::order_message(order));
        Ok(Response::new(proto::GetOrderResponse { order }))
    }

    async fn list_orders(&self, request: Request<proto::ListOrdersRequest>) -> Answer<proto::ListOrdersResponse> {
        let (filter, page_size) = convert::list_orders(request.get_ref())?;
        let page = self.0.list_orders(&caller(&request)?, filter, page_size).await.map_err(from_error)?;
        Ok(Response::new(proto::ListOrdersResponse {
            orders: page.orders.into_iter().map(convert::order_message).collect(),
            next_page_token: page.next.map(convert::page_token).unwrap_or_default(),
        }))
    }

    async fn cancel_order(&self, request: Request<proto::CancelOrderRequest>) -> Answer<proto::CancelOrderResponse> {
        let caller = caller(&request)?;
        let command = convert::cancel_order(request.into_inner())?;
        let order = self.0.cancel_order(&caller, command).await.map_err(from_error)?;
        let order = Some(convert::order_message(order));
        Ok(Response::new(proto::CancelOrderResponse { order }))
    }

    async fn ship_order(&self, request: Request<proto::ShipOrderRequest>) -> Answer<proto::ShipOrderResponse> {
        let caller = caller(&request)?;
        let command = convert::ship_order(request.into_inner())?;
        let order = self.0.ship_order(&caller, command).await.map_err(from_error)?;
        let order = Some(convert::order_message(order));
        Ok(Response::new(proto::ShipOrderResponse { order }))
    }

    async fn return_items(&self, request: Request<proto::ReturnItemsRequest>) -> Answer<proto::ReturnItemsResponse> {
        let caller = caller(&request)?;
        let command = convert::return_items(request.into_inner())?;
        let back = self.0.return_items(&caller, command).await.map_err(from_error)?;
        let r#return = Some(convert::return_message(back));
        Ok(Response::new(proto::ReturnItemsResponse { r#return }))
    }

    async fn get_return(&self, request: Request<proto::GetReturnRequest>) -> Answer<proto::GetReturnResponse> {
        let return_id = convert::one_id("return_id", &request.get_ref().return_id)?;
        let back = self.0.get_return(&caller(&request)?, return_id).await.map_err(from_error)?;
        let r#return = Some(convert::return_message(back));
        Ok(Response::new(proto::GetReturnResponse { r#return }))
    }

    type RecordSalesStream = ReceiverStream<Result<proto::RecordSalesResponse, Status>>;

    async fn record_sales(
        &self,
        request: Request<Streaming<proto::RecordSalesRequest>>,
    ) -> Answer<Self::RecordSalesStream> {
        let caller = caller(&request)?;
        Ok(Response::new(record_sales::answers(self.0.clone(), caller, request.into_inner())))
    }
}
