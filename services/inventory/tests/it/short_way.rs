//! The short way of plain holds: what it grants, what it leaves to the long way, and that nobody can tell which was taken.

use std::sync::Arc;

use chrono::TimeDelta;
use oneshelf_inventory::{
    domain::{
        group::{Answer, Command, HoldStock},
        stock_level::LevelKey,
    },
    usecases::{
        execute::{Job, Outcome},
        short_way::ShortWay,
    },
};
use oneshelf_kit::schema::Schema;
use oneshelf_proto::inventory::v1 as pb;
use oneshelf_values::{HoldId, HoldTerms, new_id};

use crate::{
    policies::{fence, set_fence},
    support::Shelf,
};

fn plain(shelf: &Shelf, lines: &[(&str, i64)]) -> HoldStock {
    HoldStock {
        hold_id: HoldId::from(new_id(&shelf.clock)),
        terms: HoldTerms::Hard,
        channel: None,
        partner: None,
        shopper: None,
        replaces: None,
        longest: TimeDelta::hours(1),
        reference: "cart 7".to_owned(),
        fingerprint: [7; 32],
        allow_partial: false,
        owed: false,
        lines: lines
            .iter()
            .map(|(sku, units)| (LevelKey { sku: sku.parse().unwrap(), location: "WH".parse().unwrap() }, *units))
            .collect(),
        sourcing: None,
    }
}

async fn grant(shelf: &Shelf, holds: &[HoldStock]) -> Vec<Option<Outcome>> {
    let jobs: Arc<[Job]> = holds.iter().map(|hold| Job::unkeyed(Command::Hold(hold.clone()))).collect();
    ShortWay::default().grant(shelf.db.pool(), Schema::new("inventory"), &shelf.clock, &jobs).await.unwrap()
}

/// Which were granted; none may have been refused.
fn granted(outcomes: &[Option<Outcome>]) -> Vec<bool> {
    let was_granted = |outcome: &Option<Outcome>| {
        outcome.as_ref().is_some_and(|outcome| matches!(outcome, Ok(Answer::Hold(hold)) if hold.lines.len() == 1))
    };
    assert!(outcomes.iter().flatten().all(Result::is_ok), "{outcomes:?}");
    outcomes.iter().map(was_granted).collect()
}

/// Makes a level look as if it had rules: whoever takes the long way looks, finds none, and takes the look away.
pub async fn suspect(shelf: &Shelf, sku: &str) {
    sqlx::query("UPDATE inventory.stock_levels SET has_rules = TRUE WHERE sku = $1")
        .bind(sku)
        .execute(shelf.db.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn plain_holds_are_granted_and_a_level_that_is_short_is_left() {
    let mut shelf = Shelf::stocked().await;
    let holds = [("A", 4), ("B", 3), ("A", 5), ("B", 3)].map(|line| plain(&shelf, &[line]));
    let outcomes = grant(&shelf, &holds).await;
    assert_eq!(granted(&outcomes), [true, false, true, false], "B has 5, for 6");
    let left: Vec<i64> = outcomes
        .iter()
        .flatten()
        .filter_map(|outcome| if let Ok(Answer::Hold(hold)) = outcome { Some(hold.lines[0].available) } else { None })
        .collect();
    assert_eq!(left, [6, 1], "in turn");
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((10, 9, 1), (5, 0, 5)));
    assert_eq!(shelf.announced("A@WH").await.available, 1);
    shelf.verify().await;
}

#[tokio::test]
async fn a_hold_that_could_be_granted_in_part_leaves_no_trace() {
    let mut shelf = Shelf::stocked().await;
    let rows = shelf.rows().await;
    let torn = HoldStock { allow_partial: true, ..plain(&shelf, &[("A", 1), ("B", 6)]) };
    let outcomes = grant(&shelf, &[torn, plain(&shelf, &[("A", 1)])]).await;
    assert_eq!(granted(&outcomes), [false, false]);
    assert_eq!((shelf.level("A").await, shelf.rows().await), ((10, 0, 10), rows));
    shelf.verify().await;
}

#[tokio::test]
async fn what_a_row_alone_does_not_say_is_left() {
    let mut shelf = Shelf::stocked().await;
    shelf.receive("WH", &[("FENCED", 5), ("SUSPECT", 5)]).await;
    shelf.client.set_ring_fences(set_fence(&shelf, fence("FENCED", "WEB", 3))).await.unwrap();
    suspect(&shelf, "SUSPECT").await;
    for sku in ["FENCED", "SUSPECT", "UNKNOWN"] {
        assert_eq!(granted(&grant(&shelf, &[plain(&shelf, &[(sku, 1)])]).await), [false], "{sku}");
    }
    sqlx::query("UPDATE inventory.stock_levels SET location_active = FALSE").execute(shelf.db.pool()).await.unwrap();
    let plain_sku = plain(&shelf, &[("A", 1)]);
    assert_eq!(granted(&grant(&shelf, std::slice::from_ref(&plain_sku)).await), [false], "closed for sale");
    assert_eq!(shelf.level("A").await.1, 0);
}

#[tokio::test]
async fn holds_that_are_not_plain_are_left() {
    let mut shelf = Shelf::stocked().await;
    let replacing = HoldStock { replaces: Some(new_id(&shelf.clock).into()), ..plain(&shelf, &[("A", 1)]) };
    let owed = HoldStock { owed: true, ..plain(&shelf, &[("A", 1)]) };
    let twin = plain(&shelf, &[("A", 1)]);
    let endless = HoldStock {
        terms: HoldTerms::Soft { expires_at: shelf.clock.now() + TimeDelta::hours(2) },
        ..plain(&shelf, &[("A", 1)])
    };
    for group in [vec![replacing], vec![owed], vec![twin.clone(), twin], vec![endless]] {
        assert!(grant(&shelf, &group).await.iter().all(Option::is_none), "{group:?}");
    }
    assert_eq!(shelf.level("A").await, (10, 0, 10));
}

#[tokio::test]
async fn a_known_id_is_left_and_its_units_are_not_taken_again() {
    let mut shelf = Shelf::stocked().await;
    let (first, other) = (plain(&shelf, &[("A", 2)]), plain(&shelf, &[("B", 1)]));
    assert_eq!(granted(&grant(&shelf, std::slice::from_ref(&first)).await), [true]);
    assert_eq!(granted(&grant(&shelf, &[other, first]).await), [false, false]);
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((10, 2, 8), (5, 0, 5)));
    shelf.verify().await;
}

#[tokio::test]
async fn both_ways_answer_announce_and_write_the_same() {
    let mut answers = Vec::new();
    for long_way in [false, true] {
        let mut shelf = Shelf::stocked().await;
        let mut told = Vec::new();
        for lines in [&[("A", 2), ("B", 1)][..], &[("A", 3), ("A", 1)], &[("B", 9)], &[("A", 4)]] {
            if long_way {
                suspect(&shelf, "A").await;
                suspect(&shelf, "B").await;
            }
            let soft = pb::HoldStockRequest { allow_partial: true, ..shelf.soft_hold(lines, 60) };
            let mut hold = shelf.held(soft).await;
            hold.hold_id.clear();
            (hold.create_time, hold.expire_time) = (None, None);
            let mut level = shelf.announced("A@WH").await;
            level.change_time = None;
            told.push((hold, level));
        }
        let written: Vec<String> = sqlx::query_scalar(
            "SELECT ROW(sku, sellable, soft_held, hard_held, version)::TEXT FROM inventory.stock_levels ORDER BY sku",
        )
        .fetch_all(shelf.db.pool())
        .await
        .unwrap();
        answers.push((told, written));
        shelf.verify().await;
    }
    assert_eq!(answers[0], answers[1]);
}
