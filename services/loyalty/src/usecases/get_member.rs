use oneshelf_kit::auth::Caller;
use oneshelf_values::MemberId;

use super::{Error, Loyalty};
use crate::{domain::Member, store::members};

impl Loyalty {
    #[tracing::instrument(name = "loyalty.get_member", skip_all, fields(%member_id))]
    pub async fn get_member(&self, _caller: &Caller, member_id: MemberId) -> Result<Member, Error> {
        members::find_member(&self.pool, &member_id).await?.ok_or(Error::MemberNotFound { member_id })
    }
}
