//! Reads one return.

use oneshelf_kit::auth::Caller;
use oneshelf_values::ReturnId;

use super::{Error, Orders, in_scope};
use crate::{
    domain::{Refusal, returns::Return},
    store,
};

impl Orders {
    pub async fn get_return(&self, caller: &Caller, return_id: ReturnId) -> Result<Return, Error> {
        let mut conn = self.pool.acquire().await?;
        store::returns::find(&mut conn, return_id)
            .await?
            .filter(|back| in_scope(caller, &back.channel, back.partner.as_ref()))
            .ok_or_else(|| Refusal::ReturnNotFound(return_id).into())
    }
}
