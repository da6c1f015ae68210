//! Stock that comes in from a file, and the ledger that goes out into one, by the binary against a real server.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{fmt::Write as _, fs, path::Path, process::Output};

use oneshelf_kit::auth::{self, NewKey, Scope};
use oneshelf_proto::{
    FILE_DESCRIPTOR_SET,
    inventory::v1::{self as inventory, inventory_service_client::InventoryServiceClient},
};
use oneshelf_testkit::{Database, ServeTest, Server, clock};
use oneshelf_tests::stack::{binary, clean};
use oneshelf_values::new_id;
use secrecy::{ExposeSecret, SecretString};

struct Shelf {
    server: Server,
    key: SecretString,
    db: Database,
}

impl Shelf {
    /// An inventory with the location WH.
    async fn open() -> Self {
        let db = Database::new(&[&oneshelf_inventory::MIGRATOR]).await;
        let clock = clock();
        let test = ServeTest::new(db.pool(), clock.clone()).await;
        let config = oneshelf_inventory::config::Config::new(db.config());
        let mounted = oneshelf_inventory::server::start(&config, &test.chassis).await.unwrap();
        let key = NewKey {
            title: "files".to_owned(),
            scopes: vec![Scope::parse("inventory:*").unwrap()],
            channel: None,
            partner: None,
            expires_at: None,
        };
        let key = auth::create_key(db.pool(), &test.chassis.pepper, &clock, &key).await.unwrap();
        let server = test.start(FILE_DESCRIPTOR_SET, vec![mounted]).await;
        let mut client = InventoryServiceClient::new(server.client().await);
        let location = inventory::Location {
            location_id: "WH".to_owned(),
            kind: inventory::LocationKind::Warehouse.into(),
            title: "Warehouse".to_owned(),
            ..Default::default()
        };
        let request_id = new_id(&clock).to_string();
        client
            .create_location(inventory::CreateLocationRequest { request_id, location: Some(location) })
            .await
            .unwrap();
        Self { server, key, db }
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = clean(&binary());
        command
            .args(args)
            .args(["--target", &format!("http://{}", self.server.address())])
            .env("ONESHELF_KEY", self.key.expose_secret());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn units(&self) -> (i64, i64) {
        sqlx::query_as("SELECT COUNT(*), COALESCE(SUM(sellable), 0)::BIGINT FROM inventory.stock_levels")
            .fetch_one(self.db.pool())
            .await
            .unwrap()
    }

    async fn verify(&self) {
        for check in oneshelf_inventory::verify::verify(self.db.pool()).await.unwrap() {
            assert_eq!(check.violations, 0, "{}: {:?}", check.what, check.offenders);
        }
    }
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_is_imported_once_and_the_ledger_is_exported_whole() {
    let shelf = Shelf::open().await;
    let dir = tempfile::tempdir().unwrap();
    let (stock, results) = (dir.path().join("stock.csv"), dir.path().join("results.csv"));
    let mut rows = "sku,location_id,quantity,expected_quantity\n".to_owned();
    for number in 0..5_000 {
        writeln!(rows, "S{number:04},WH,{},", number % 7 + 1).unwrap();
    }
    rows.push_str("S0000,WH,9,5\nS0001,WH,many,\nS0002,NOWHERE,1,\n");
    fs::write(&stock, &rows).unwrap();
    let import = ["import", "stock", path(&stock), "--chunk", "700", "--results", path(&results)];

    let dry = shelf.run(&[&import[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.status.code(), Some(1), "{}", text(&dry.stderr));
    let said = text(&dry.stdout);
    assert!(said.contains("5003 rows, dry run: 5000 applied, 0 unchanged, 1 in conflict, 2 refused"), "{said}");
    assert_eq!(shelf.units().await.0, 0, "a dry run changes nothing");

    let first = shelf.run(&import).await;
    assert_eq!(first.status.code(), Some(1), "{}", text(&first.stderr));
    let units: i64 = (0..5_000).map(|number| number % 7 + 1).sum();
    assert_eq!(shelf.units().await, (5_000, units));
    let told = fs::read_to_string(&results).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), 5_004);
    assert_eq!(told[1], "2,S0000,WH,APPLIED,,1,1");
    assert_eq!(told[5_001], "5002,S0000,WH,CONFLICT,,1,1");
    assert_eq!(told[5_002], "5003,S0001,WH,REFUSED,quantity cannot be read,0,0");
    assert_eq!(told[5_003], "5004,S0002,NOWHERE,REFUSED,LOCATION_NOT_FOUND,0,0");

    // Sent again under its id, as after a break: every chunk is answered as it was.
    let said = text(&first.stderr);
    let id = said.lines().find_map(|line| line.split_once("--resume ")).unwrap().1;
    let again = shelf.run(&[&import[..], &["--resume", id]].concat()).await;
    assert_eq!(text(&again.stdout).split_once(';').unwrap().0, text(&first.stdout).split_once(';').unwrap().0);
    assert_eq!(shelf.units().await, (5_000, units));

    let delta = dir.path().join("delta.csv");
    fs::write(&delta, "location_id,delta,sku\nWH,-1,S0003\nWH,-99,S0004\n").unwrap();
    let without = shelf.run(&["import", "stock", path(&delta)]).await;
    assert!(text(&without.stderr).contains("--reason-code"), "{}", text(&without.stderr));
    let adjusted = shelf.run(&["import", "stock", path(&delta), "--reason-code", "adjust_lost"]).await;
    assert!(text(&adjusted.stdout).contains("1 applied, 0 unchanged, 0 in conflict, 1 refused"));

    let (csv, epcis) = (dir.path().join("ledger.csv"), dir.path().join("ledger.jsonld"));
    let exported = shelf.run(&["export", "movements", "--output", path(&csv)]).await;
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 5_002);
    let args = ["export", "movements", "--format", "epcis", "--sku", "S0003", "--output", path(&epcis)];
    assert!(shelf.run(&args).await.status.success());
    let document: serde_json::Value = serde_json::from_slice(&fs::read(&epcis).unwrap()).unwrap();
    let steps: Vec<&str> = document["epcisBody"]["eventList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["bizStep"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["cycle_counting", "removing"]);
    shelf.verify().await;
}
