use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Fixture, assert_violations};

#[tokio::test]
async fn get_member_reads_the_balance() {
    let fixture = Fixture::start().await;
    fixture.enrol(&["M-1"]).await;
    fixture.deliver(vec![fixture.recorded(fixture.new_id(), "M-1", &[1_299])]).await;
    let member = fixture.member("m-1").await.unwrap();
    assert_eq!((member.member_id.as_str(), member.balance, member.earned), ("M-1", 12, 12));
}

#[tokio::test]
async fn get_member_of_an_unknown_one_is_not_found() {
    let fixture = Fixture::start().await;
    let missing = fixture.member("M-1").await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(missing.get_details_resource_info().unwrap().resource_name, "M-1");
}

#[tokio::test]
async fn get_member_refuses_bad_input() {
    let fixture = Fixture::start().await;
    for id in ["", " ", "M 1", &"M".repeat(33), "M\0"] {
        assert_violations(&fixture.member(id).await.unwrap_err(), &["member_id"]);
    }
}
