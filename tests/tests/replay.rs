//! `oneshelf replay` as a newcomer types it: nothing is served and there is no key.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Output,
};

use oneshelf_testkit::{Database, Rabbit, redis_config};
use oneshelf_tests::{
    books::subscriptions,
    stack::{binary, clean, free_port},
};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

const LINES: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom
536365,71053,WHITE METAL LANTERN,6,12/1/2010 8:26,3.39,17850,United Kingdom
536366,22633,HAND WARMER UNION JACK,2,12/1/2010 8:28,1.85,,United Kingdom
C536367,85123A,WHITE HANGING HEART T-LIGHT HOLDER,-1,12/13/2010 9:41,2.55,17850,United Kingdom
";

/// An empty database and names of its own in the broker; no services.
struct Bare {
    database: Database,
    rabbit: Rabbit,
    folder: TempDir,
    port: u16,
}

impl Bare {
    async fn new() -> Self {
        let (database, rabbit) = (Database::new(&[]).await, Rabbit::new());
        // What the replay will declare, so that it is deleted with the names.
        rabbit.broker().declare(&subscriptions()).await.expect("the queues are declared");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("lines.csv"), LINES).expect("the lines are written");
        Self { database, rabbit, folder, port: free_port() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn oneshelf(&self, args: &[&str]) -> Output {
        let mut command = clean(&binary());
        let url = self.database.config().url;
        for name in ["ACCESS", "CATALOG", "INVENTORY", "ORDERS", "PARTNERS", "LOYALTY", "CHANNELS"] {
            command.env(format!("ONESHELF__{name}__DATABASE__URL"), url.expose_secret());
        }
        let (rabbit, redis) = (self.rabbit.config(), redis_config());
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("ONESHELF__RABBITMQ__URL", rabbit.url.expose_secret())
            .env("ONESHELF__RABBITMQ__NAMESPACE", &rabbit.namespace)
            .env("ONESHELF__REDIS__URL", redis.url.expose_secret())
            .env("ONESHELF__REDIS__NAMESPACE", &redis.namespace)
            .env("ONESHELF__ACCESS__PEPPER", "pepper of the tests, no secret")
            .env("ONESHELF__QUOTES__KEY", "a key of thirty-two characters and some more")
            .env("ONESHELF__TELEMETRY__JSON", "true");
        tokio::task::spawn_blocking(move || command.output().expect("the binary starts")).await.expect("it ends")
    }

    fn target(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A folder of real data, where ONESHELF_DATA names them.
fn data(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("ONESHELF_DATA").map(|root| Path::new(&root).join(name)).filter(|path| path.is_dir());
    if found.is_none() {
        println!("skipped: ONESHELF_DATA has no {name}");
    }
    found
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_serves_what_nobody_serves_makes_a_key_and_leaves_neither() {
    let bare = Bare::new().await;
    let verify = bare.oneshelf(&["verify"]).await;
    assert_eq!(verify.status.code(), Some(1));
    assert!(said(&verify).contains("run `oneshelf migrate`"), "{}", said(&verify));

    for more in [&[][..], &["--twice"]] {
        let target = bare.target();
        let mut args = vec!["replay", "lines.csv", "--target", &target, "--clients", "2", "--json", "a.json"];
        args.extend(more);
        let output = bare.oneshelf(&args).await;
        assert!(output.status.success(), "{}", said(&output));
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(bare.path("a.json")).expect("the report")).expect("the report is JSON");
        assert_eq!(report["lines"], 4);
        assert!(TcpStream::connect(("127.0.0.1", bare.port)).is_err(), "the server was left running");
    }
    let live: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM access.api_keys WHERE revoked_at IS NULL")
        .fetch_one(bare.database.pool())
        .await
        .expect("the keys are read");
    assert_eq!(live, 0);
    let log = fs::read_to_string(bare.path(".local/replay-server.log")).expect("the server's log");
    let line = log.lines().find(|line| line.contains("serving")).expect("the server says that it serves");
    let line: serde_json::Value = serde_json::from_str(line).expect("one JSON object per line");
    assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"serving".into()));

    let verify = bare.oneshelf(&["verify"]).await;
    assert!(verify.status.success(), "{}", said(&verify));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_databases_replay_says_in_one_line_what_to_do() {
    let bare = Bare::new().await;
    let lines = bare.path("lines.csv");
    let replay = |target: String| {
        let mut command = clean(&binary());
        command.arg("replay").arg(&lines).args(["--target", &target]).current_dir(bare.folder.path());
        command.output().expect("the binary starts")
    };
    let nobody = replay(bare.target());
    assert_eq!(nobody.status.code(), Some(64), "{}", said(&nobody));
    let words = said(&nobody);
    let last = words.lines().last().unwrap_or_default();
    assert!(last.contains("nobody answers") && last.contains("make infra-up"), "{words}");

    // Somebody answers: all that lacks is a key.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let served = replay(format!("http://{}", listener.local_addr().expect("its address")));
    assert_eq!(served.status.code(), Some(64), "{}", said(&served));
    assert!(said(&served).contains("--key"), "{}", said(&served));
    assert!(!Path::new(&bare.path(".local")).exists(), "nothing was begun");
}

/// The first months of a factory that sold more than it had, where the data are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_factorys_balance_is_the_books_on_every_day_and_below_zero_too() {
    let Some(data) = data("adventureworks") else { return };
    let data = data.to_str().expect("a path of letters");
    let bare = Bare::new().await;
    let target = bare.target();
    let replay = async |through: &str, more: &[&str]| {
        let mut args = vec!["replay", data, "--stock", "--through", through, "--target", &target, "--json", "s.json"];
        args.extend(more);
        let output = bare.oneshelf(&args).await;
        let report = fs::read(bare.path("s.json")).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        (output, serde_json::from_slice::<serde_json::Value>(&report).expect("the report is JSON"))
    };
    for more in [&[][..], &["--twice"]] {
        let (output, report) = replay("2011-01-31", more).await;
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!((&report["equal"], &report["lines"]), (&true.into(), &1_295.into()), "{}", said(&output));
        let below = report["sections"][0]["figures"]
            .as_array()
            .and_then(|figures| figures.iter().find(|figure| figure["name"] == "SKU-days below zero"))
            .expect("the figure is there");
        assert!(below["reached"].as_i64() > Some(0), "{below}");
    }

    let verify = bare.oneshelf(&["verify"]).await;
    assert!(verify.status.success(), "{}", said(&verify));
}
