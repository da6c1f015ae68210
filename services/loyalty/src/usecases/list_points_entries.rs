use oneshelf_kit::auth::Caller;
use oneshelf_values::MemberId;

use super::{Error, Loyalty};
use crate::{
    domain::Entry,
    store::{documents, members},
};

impl Loyalty {
    /// One page of the statement, newest first, entries with a sequence below `before`; and whether more follow.
    #[tracing::instrument(name = "loyalty.list_points_entries", skip_all, fields(%member_id))]
    pub async fn list_points_entries(
        &self,
        _caller: &Caller,
        member_id: MemberId,
        before: Option<i64>,
        page_size: i64,
    ) -> Result<(Vec<(i64, Entry)>, bool), Error> {
        if members::find_member(&self.pool, &member_id).await?.is_none() {
            return Err(Error::MemberNotFound { member_id });
        }
        let mut page = documents::list_entries(&self.pool, &member_id, before, page_size + 1).await?;
        let more = page.len() as i64 > page_size;
        page.truncate(page_size as usize);
        Ok((page, more))
    }
}
