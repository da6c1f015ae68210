//! Says which version of the price book is active.

use oneshelf_kit::auth::Caller;

use super::{Catalog, Error};
use crate::{domain::price_list::BookVersion, store::price_books};

impl Catalog {
    /// `None` before the first publish.
    pub async fn get_price_book(&self, _caller: &Caller) -> Result<Option<BookVersion>, Error> {
        let mut conn = self.pool.acquire().await?;
        Ok(price_books::find_active_book(&mut conn, i64::MAX, self.clock.now()).await?)
    }
}
