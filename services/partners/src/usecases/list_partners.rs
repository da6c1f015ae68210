use oneshelf_kit::auth::Caller;
use oneshelf_values::PartnerId;

use super::{Error, Partners};
use crate::{domain::Partner, store::partners};

impl Partners {
    /// One page by id, and whether more follow. A key bound to a partner sees that one only.
    #[tracing::instrument(name = "partners.list_partners", skip_all)]
    pub async fn list_partners(
        &self,
        caller: &Caller,
        after: Option<PartnerId>,
        page_size: i64,
    ) -> Result<(Vec<Partner>, bool), Error> {
        let mut page = partners::list_partners(&self.pool, caller.partner(), after.as_ref(), page_size + 1).await?;
        let more = page.len() as i64 > page_size;
        page.truncate(page_size as usize);
        Ok((page, more))
    }
}
