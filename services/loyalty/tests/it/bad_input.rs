//! Every field of every request, spoilt in turn.

use oneshelf_proto::{FILE_DESCRIPTOR_SET, loyalty::v1 as pb};
use oneshelf_testkit::bad_input::{Good, assert_bad_input_is_refused};

use crate::support::Fixture;

#[tokio::test]
async fn every_bad_field_is_refused_by_its_name_and_changes_nothing() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1", "M-2"]).await;
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "M-1", &[500])]).await;
    let goods = vec![
        Good::new(
            "BatchCreateMembers",
            &pb::BatchCreateMembersRequest {
                request_id: fixture.new_id().to_string(),
                member_ids: vec!["M-3".to_owned()],
            },
        )
        .at_most(&[("member_ids", 1_000)]),
        Good::new("GetMember", &pb::GetMemberRequest { member_id: "M-1".to_owned() }),
        Good::new("ListMembers", &pb::ListMembersRequest { page_size: 1, page_token: "M-1".to_owned() }),
        Good::new(
            "ListPointsEntries",
            &pb::ListPointsEntriesRequest { member_id: "M-1".to_owned(), page_size: 1, page_token: "7".to_owned() },
        ),
    ];
    let (server, pool) = (&fixture.server, fixture.db.pool());
    assert_bad_input_is_refused(server, pool, FILE_DESCRIPTOR_SET, "oneshelf.loyalty.v1.LoyaltyService", goods).await;
}
