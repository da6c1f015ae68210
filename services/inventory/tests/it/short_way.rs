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

/// One process and what it remembers, and how many statements wrote, or might have written, levels.
struct Process<'s> {
    shelf: &'s Shelf,
    way: ShortWay,
}

impl<'s> Process<'s> {
    async fn watched(shelf: &'s Shelf) -> Self {
        let watch = r"
            CREATE TABLE IF NOT EXISTS inventory.seen (statement TEXT);
            CREATE OR REPLACE FUNCTION inventory.see() RETURNS TRIGGER LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO inventory.seen VALUES (CURRENT_QUERY());
                RETURN NULL;
            END $$;
            CREATE OR REPLACE TRIGGER see
            AFTER UPDATE ON inventory.stock_levels
            FOR EACH STATEMENT EXECUTE FUNCTION inventory.see();
        ";
        sqlx::raw_sql(watch).execute(shelf.db.pool()).await.unwrap();
        Self { shelf, way: ShortWay::default() }
    }

    async fn grant(&self, holds: &[HoldStock]) -> Vec<Option<Outcome>> {
        let jobs: Arc<[Job]> = holds.iter().map(|hold| Job::unkeyed(Command::Hold(hold.clone()))).collect();
        self.way.grant(self.shelf.db.pool(), Schema::new("inventory"), &self.shelf.clock, &jobs).await.unwrap()
    }

    /// Statements on levels since this was asked last, but for those that were rolled back: one for a guess, right or wrong,
    /// two where units are taken first and holds inserted then.
    async fn statements(&self) -> usize {
        let seen = sqlx::query("DELETE FROM inventory.seen").execute(self.shelf.db.pool()).await.unwrap();
        seen.rows_affected() as usize
    }

    /// Somebody else holds one of a SKU.
    async fn elsewhere(&self, sku: &str) {
        assert_eq!(granted(&grant(self.shelf, &[plain(self.shelf, &[(sku, 1)])]).await), [true]);
        self.statements().await;
    }
}

#[tokio::test]
async fn levels_that_a_process_wrote_last_are_taken_by_one_statement() {
    let mut shelf = Shelf::stocked().await;
    let process = Process::watched(&shelf).await;
    for (sku, statements) in [("A", 2), ("A", 1), ("B", 2), ("A", 1), ("B", 1)] {
        let holds = [plain(&shelf, &[(sku, 1)])];
        assert_eq!(granted(&process.grant(&holds).await), [true]);
        assert_eq!(process.statements().await, statements, "{sku}");
    }
    let holds = [("A", 2), ("B", 1), ("A", 1)].map(|line| plain(&shelf, &[line]));
    assert_eq!(granted(&process.grant(&holds).await), [true, true, true]);
    assert_eq!(process.statements().await, 1, "for a group as well");
    drop(process);
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((10, 6, 4), (5, 3, 2)));
    assert_eq!(shelf.announced("A@WH").await.available, 4);
    shelf.verify().await;
}

#[tokio::test]
async fn a_wrong_guess_writes_nothing_and_the_group_is_granted_all_the_same() {
    let mut shelf = Shelf::stocked().await;
    let process = Process::watched(&shelf).await;
    let both = [plain(&shelf, &[("A", 1), ("B", 1)])];
    process.grant(&both).await;
    process.elsewhere("B").await;
    let holds = [plain(&shelf, &[("A", 2)]), plain(&shelf, &[("B", 2)])];
    assert_eq!(granted(&process.grant(&holds).await), [true, true]);
    assert_eq!(process.statements().await, 3);
    drop(process);
    assert_eq!((shelf.level("A").await, shelf.level("B").await), ((10, 3, 7), (5, 4, 1)));
    shelf.verify().await;
}

#[tokio::test]
async fn a_guess_is_left_where_the_row_says_no_whatever_is_remembered() {
    let shelf = Shelf::stocked().await;
    for changed in ["has_rules = TRUE", "location_active = FALSE", "sellable = 3", "safety_stock = 7"] {
        let process = Process::watched(&shelf).await;
        let pool = shelf.db.pool();
        let as_it_was = "UPDATE inventory.stock_levels SET has_rules = FALSE, kit = FALSE, location_active = TRUE, \
                         location_closed = FALSE, sellable = 10, safety_stock = 0, soft_held = 0, hard_held = 0 \
                         WHERE sku = 'A'";
        sqlx::query(as_it_was).execute(pool).await.unwrap();
        assert_eq!(granted(&process.grant(&[plain(&shelf, &[("A", 2)])]).await), [true], "{changed}");
        // Around the service, and so without a new version.
        let change = format!("UPDATE inventory.stock_levels SET {changed} WHERE sku = 'A'");
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(pool).await.unwrap();
        process.statements().await;
        let rows = shelf.rows().await;
        assert_eq!(granted(&process.grant(&[plain(&shelf, &[("A", 2)])]).await), [false], "{changed}");
        assert_eq!((process.statements().await, shelf.rows().await), (1, rows), "{changed}: guessed, and left");
    }
}

#[tokio::test]
async fn what_the_domain_would_grant_in_part_or_refuse_is_not_guessed() {
    let mut shelf = Shelf::stocked().await;
    let process = Process::watched(&shelf).await;
    process.grant(&[plain(&shelf, &[("A", 1)])]).await;
    process.statements().await;
    let part = HoldStock { allow_partial: true, ..plain(&shelf, &[("A", 12)]) };
    for hold in [part, plain(&shelf, &[("A", 12)])] {
        assert_eq!(granted(&process.grant(&[hold]).await), [false]);
        assert_eq!(process.statements().await, 0);
    }
    drop(process);
    assert_eq!(shelf.level("A").await, (10, 1, 9));
}

#[tokio::test]
async fn a_known_id_is_left_by_a_guess_too() {
    let mut shelf = Shelf::stocked().await;
    let process = Process::watched(&shelf).await;
    let hold = plain(&shelf, &[("A", 2)]);
    assert_eq!(granted(&process.grant(std::slice::from_ref(&hold)).await), [true]);
    assert_eq!(granted(&process.grant(std::slice::from_ref(&hold)).await), [false]);
    drop(process);
    assert_eq!(shelf.level("A").await, (10, 2, 8));
    shelf.verify().await;
}

#[tokio::test]
async fn processes_that_guess_about_one_level_sell_each_unit_once() {
    let mut shelf = Shelf::open().await;
    shelf.receive("WH", &[("A", 200), ("B", 400)]).await;
    let ways: Vec<Arc<ShortWay>> = (0..4).map(|_| Arc::default()).collect();
    let mut buyers = tokio::task::JoinSet::new();
    for way in ways {
        let (pool, clock) = (shelf.db.pool().clone(), shelf.clock.clone());
        let groups: Vec<Arc<[Job]>> = (0..60)
            .map(|_| {
                let lines = [&[("A", 1)][..], &[("A", 1), ("B", 1)]];
                lines.map(|lines| Job::unkeyed(Command::Hold(plain(&shelf, lines)))).into()
            })
            .collect();
        buyers.spawn(async move {
            let mut sold = 0;
            for group in groups {
                let outcomes = way.grant(&pool, Schema::new("inventory"), &clock, &group).await.unwrap();
                sold += outcomes.iter().flatten().filter(|outcome| outcome.is_ok()).count();
            }
            sold
        });
    }
    let sold: usize = buyers.join_all().await.into_iter().sum();
    assert!(sold <= 200 && sold > 0, "{sold}");
    assert_eq!(shelf.level("A").await, (200, sold as i64, 200 - sold as i64));
    shelf.verify().await;
}
