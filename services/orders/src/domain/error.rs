//! Why an order says no.

use chrono::{DateTime, Utc};
use oneshelf_values::{Currency, MoneyError, OrderId, QuoteId, ReturnId};

use super::order::State;

/// A business refusal: the request was understood and the rules do not allow it. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the quote is not what the catalog signed")]
    QuoteSignatureInvalid,
    #[error("quote {quote_id} expired at {expired_at}")]
    QuoteExpired { quote_id: QuoteId, expired_at: DateTime<Utc> },
    #[error("order {0} does not exist")]
    OrderNotFound(OrderId),
    #[error("return {0} does not exist")]
    ReturnNotFound(ReturnId),
    #[error("order {order_id} is {}", .state.as_str())]
    OrderState { order_id: OrderId, state: State },
    #[error("order {order_id} has no line {line_no}")]
    LineNotFound { order_id: OrderId, line_no: i32 },
    #[error("line {line_no} has {allocated} units to ship, not {requested}")]
    ShipExceedsAllocated { line_no: i32, allocated: i64, requested: i64 },
    #[error("line {line_no} of order {order_id} has {returnable} units to take back, not {requested}")]
    ReturnExceedsShipped { order_id: OrderId, line_no: i32, returnable: i64, requested: i64 },
    #[error("one currency per order and return: {expected} and {found} cannot be mixed")]
    CurrencyMismatch { expected: Currency, found: Currency },
    #[error("{field} is not that of order {order_id}")]
    NotTheOrders {
        /// Path in the request.
        field: String,
        order_id: OrderId,
    },
    #[error("a total would leave the range of 64-bit integers")]
    AmountOverflow,
}

impl From<MoneyError> for Refusal {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::CurrencyMismatch { left, right } => Self::CurrencyMismatch { expected: left, found: right },
            MoneyError::Overflow | MoneyError::NotADecimal | MoneyError::NotAShare => Self::AmountOverflow,
        }
    }
}

/// A refusal by inventory or partners, kept as it came: the caller gets it with its own reason, each time it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRefusal {
    /// gRPC status code.
    pub code: i32,
    /// Reason of the ErrorInfo, such as `INSUFFICIENT_STOCK`.
    pub reason: String,
    pub message: String,
    /// Encoded details of the status.
    pub details: Vec<u8>,
}
