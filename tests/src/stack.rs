//! Real processes: a PostgreSQL, a Redis and a RabbitMQ of their own that may be broken, and the binary as it is shipped.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use oneshelf_kit::{config::ClientConfig, grpc::client::connect_lazy};
use oneshelf_testkit::wait_for;
use oneshelf_values::Clock;
use secrecy::SecretString;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::shop::Shop;

/// Ends servers that were left running, then the stack, once its input ends. A number in `served` counts only while that
/// process stands in our directory.
const BROOM: &str = r#"
    cat
    cd "$ONESHELF_LOCAL_DIR" || exit
    for pid in $(cat served 2>/dev/null); do
        if [ "$(readlink "/proc/$pid/cwd")" = "$PWD" ]; then kill -9 "$pid"; fi
    done
    "$0" --wipe
    rm -rf "$PWD"
"#;

const READY_WITHIN: Duration = Duration::from_secs(60);

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The debug build of the binary, which `deploy/test` renews before the tests.
pub fn binary() -> PathBuf {
    let named =
        |wanted: &str| std::env::vars().find_map(|(name, value)| (name == wanted).then(|| PathBuf::from(value)));
    let target = || named("CARGO_TARGET_DIR").unwrap_or_else(|| root().join("target"));
    let binary = named("ONESHELF_BIN").unwrap_or_else(|| target().join("debug/oneshelf"));
    assert!(binary.exists(), "{} is not there: run cargo build --bin oneshelf", binary.display());
    binary
}

/// A command without any setting of ours from this process's environment.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ONESHELF_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
    output
}

/// The servers, installed and empty. They are stopped and wiped when this process ends, however it ends.
pub struct Stack {
    dir: TempDir,
    settings: Vec<(String, String)>,
    key: SecretString,
    port: u16,
    admin_port: u16,
    /// Waits for the end of its input, which is the end of this process.
    _broom: Child,
}

impl Stack {
    pub fn up() -> Self {
        let dir = tempfile::tempdir().expect("a directory for the servers");
        let local = root().join("deploy/local");
        let broom = clean(Path::new("setsid"))
            .args(["sh", "-c", BROOM])
            .arg(local.join("down"))
            .env("ONESHELF_LOCAL_DIR", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the broom starts");
        run(clean(&local.join("up")).env("ONESHELF_LOCAL_DIR", dir.path()));
        let text = fs::read_to_string(dir.path().join("env")).expect("the addresses of the servers");
        let settings = text
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut stack = Self {
            dir,
            settings,
            key: SecretString::from(""),
            port: free_port(),
            admin_port: free_port(),
            _broom: broom,
        };
        run(stack.oneshelf().arg("migrate"));
        let key = run(stack.oneshelf().args(["keys", "create", "--title", "faults", "--scope", "*"]));
        stack.key = String::from_utf8_lossy(&key.stdout).trim().to_owned().into();
        stack
    }

    fn setting(&self, wanted: &str) -> &str {
        let found = self.settings.iter().find(|(name, _)| name == wanted);
        found.map_or_else(|| panic!("deploy/local/up tells no {wanted}"), |(_, value)| value.as_str())
    }

    /// The binary, told where everything is.
    pub fn oneshelf(&self) -> Command {
        let here = format!("http://127.0.0.1:{}", self.port);
        let mut command = clean(&binary());
        command
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("ONESHELF__SERVER__LISTEN", format!("127.0.0.1:{}", self.port))
            .env("ONESHELF__SERVER__ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin_port))
            .env("ONESHELF__CLIENTS__INVENTORY__URL", &here)
            .env("ONESHELF__CLIENTS__PARTNERS__URL", &here)
            // What a broken process leaves undone is taken up soon.
            .env("ONESHELF__CLIENTS__INVENTORY__TIMEOUT_MS", "1000")
            .env("ONESHELF__CLIENTS__PARTNERS__TIMEOUT_MS", "1000")
            .env("ONESHELF__ORDERS__LEASE_MS", "5000")
            .env("ONESHELF__ORDERS__REDRIVE_EVERY_MS", "200");
        command
    }

    /// All services in a process, once they are ready.
    pub async fn serve(&self) -> Serving {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("serve.log"))
            .expect("a file for the log");
        let child = self
            .oneshelf()
            .args(["serve", "all"])
            .current_dir(self.dir.path())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let pids = fs::read_to_string(self.dir.path().join("served")).unwrap_or_default();
        fs::write(self.dir.path().join("served"), format!("{pids}{}\n", child.id())).expect("the server is noted");
        let mut serving = Serving(child);
        let what = format!("readiness; its log: {}", self.dir.path().join("serve.log").display());
        wait_for(&what, READY_WITHIN, async || {
            assert!(serving.0.try_wait().expect("a child's state").is_none(), "the server ended: {}", self.log());
            self.is_ready().await.then_some(())
        })
        .await;
        serving
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.admin_port)).await else { return false };
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        stream.write_all(request).await.is_ok()
            && stream.read_to_string(&mut answer).await.is_ok()
            && answer.starts_with("HTTP/1.1 200")
    }

    /// Clients over a connection of their own, which waits for a server that is away.
    pub fn shop(&self) -> Shop {
        let config = ClientConfig { timeout_ms: 5_000, ..ClientConfig::new(format!("http://127.0.0.1:{}", self.port)) };
        Shop::new(connect_lazy(&config, &self.key).expect("the address and key are well formed"), Clock::system())
    }

    /// `deploy/local/up` or `down`.
    pub fn local(&self, script: &str, args: &[&str]) {
        let mut command = clean(&root().join("deploy/local").join(script));
        run(command.args(args).env("ONESHELF_LOCAL_DIR", self.dir.path()));
    }

    /// A file that `deploy/local` keeps.
    pub fn kept(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn has(&self, name: &str) -> bool {
        self.dir.path().join(name).exists()
    }

    /// `deploy/local/ctl <server> <verb>`, and what it prints.
    pub async fn ctl(&self, server: &str, verb: &[&str]) -> String {
        let mut command = clean(&root().join("deploy/local/ctl"));
        command.arg(server).args(verb).env("ONESHELF_LOCAL_DIR", self.dir.path());
        let output = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("the command ends");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The administrator's view of the database.
    pub async fn database(&self) -> PgPool {
        let url = self.setting("DATABASE_URL");
        let (server, _) = url.rsplit_once('/').expect("a database URL has a path");
        PgPoolOptions::new()
            .max_connections(2)
            .connect(&format!("{server}/oneshelf"))
            .await
            .expect("the database answers")
    }

    pub async fn broker(&self) -> Connection {
        let url = self.setting("ONESHELF__RABBITMQ__URL");
        Connection::connect(url, ConnectionProperties::default()).await.expect("the broker answers")
    }

    /// How many messages wait in these queues.
    pub async fn waiting(&self, queues: &[String]) -> u32 {
        let connection = self.broker().await;
        let channel = connection.create_channel().await.expect("a channel");
        let mut waiting = 0;
        for queue in queues {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
            waiting += queue.expect("the queue is there").message_count();
        }
        connection.close(200, "done".into()).await.expect("the connection ends");
        waiting
    }

    /// `oneshelf verify`, which exits with 0 only if every book balances.
    pub async fn verify(&self) {
        let mut command = self.oneshelf();
        command.arg("verify");
        tokio::task::spawn_blocking(move || run(&mut command)).await.expect("the command ends");
    }
}

/// A free port, for a process that cannot tell which one it took.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// A running server; killed with its owner.
pub struct Serving(Child);

impl Serving {
    /// kill -9.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}
