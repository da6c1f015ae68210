use oneshelf_kit::auth::Caller;
use oneshelf_values::MemberId;

use super::{Error, Loyalty};
use crate::{domain::Member, store::members};

impl Loyalty {
    /// One page by id, and whether more follow.
    #[tracing::instrument(name = "loyalty.list_members", skip_all)]
    pub async fn list_members(
        &self,
        _caller: &Caller,
        after: Option<MemberId>,
        page_size: i64,
    ) -> Result<(Vec<Member>, bool), Error> {
        let mut page = members::list_members(&self.pool, after.as_ref(), page_size + 1).await?;
        let more = page.len() as i64 > page_size;
        page.truncate(page_size as usize);
        Ok((page, more))
    }
}
