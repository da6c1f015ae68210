//! Reading the account and its history.

use oneshelf_proto::partners::v1 as pb;
use tonic::{Code, Status};

use crate::support::{Fixture, assert_violations, minor, pence};

async fn account(fixture: &Fixture, id: &str) -> Result<pb::CreditAccount, Status> {
    let request = pb::GetCreditAccountRequest { partner_id: id.to_owned() };
    Ok(fixture.client.clone().get_credit_account(request).await?.into_inner().account.unwrap())
}

async fn list(fixture: &Fixture, id: &str, size: i32, token: &str) -> Result<pb::ListCreditEntriesResponse, Status> {
    let request =
        pb::ListCreditEntriesRequest { partner_id: id.to_owned(), page_size: size, page_token: token.to_owned() };
    Ok(fixture.client.clone().list_credit_entries(request).await?.into_inner())
}

#[tokio::test]
async fn get_credit_account_says_where_the_credit_stands() {
    let fixture = Fixture::with_partner(5_000).await;
    let before = account(&fixture, "d-1").await.unwrap();
    fixture.hold("D-1", 700).await.unwrap();
    let after = account(&fixture, "D-1").await.unwrap();
    assert_eq!(after.version, before.version + 1);
    assert_eq!(after.limit, Some(pence(5_000)));
    assert_eq!((minor(after.used), minor(after.held), minor(after.available)), (0, 700, 4_300));
}

#[tokio::test]
async fn get_credit_account_refuses_bad_input() {
    let fixture = Fixture::start().await;
    for id in ["", "D 1", &"D".repeat(33)] {
        assert_violations(&account(&fixture, id).await.unwrap_err(), &["partner_id"]);
    }
    assert_eq!(account(&fixture, "D-9").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn list_credit_entries_is_the_history_newest_first() {
    let fixture = Fixture::with_partner(5_000).await;
    for amount in [100, 200, 300] {
        let open = fixture.hold("D-1", amount).await.unwrap();
        fixture.capture(&open.hold_id, None).await.unwrap();
    }
    let amounts = |page: &pb::ListCreditEntriesResponse| {
        page.entries.iter().map(|entry| minor(entry.amount.clone())).collect::<Vec<i64>>()
    };
    let first = list(&fixture, "D-1", 2, "").await.unwrap();
    assert_eq!(amounts(&first), [300, 200]);
    let last = list(&fixture, "D-1", 2, &first.next_page_token).await.unwrap();
    assert_eq!((amounts(&last), last.next_page_token.as_str()), (vec![100], ""));
}

#[tokio::test]
async fn list_credit_entries_refuses_bad_input() {
    let fixture = Fixture::with_partner(5_000).await;
    let cases: &[(&str, i32, &str, &[&str])] = &[
        ("", 0, "", &["partner_id"]),
        ("D-1", -1, "", &["page_size"]),
        ("D-1", 1_001, "", &["page_size"]),
        ("D-1", 0, "x", &["page_token"]),
        ("", i32::MAX, "9e9", &["partner_id", "page_size", "page_token"]),
    ];
    for (id, size, token, fields) in cases {
        assert_violations(&list(&fixture, id, *size, token).await.unwrap_err(), fields);
    }
    assert_eq!(list(&fixture, "D-9", 0, "").await.unwrap_err().code(), Code::NotFound);
}
