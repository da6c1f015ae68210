//! The one binary: every service and every tool of OneShelf.

mod api;
mod bench;
mod chassis;
mod config;
mod demo;
mod export;
mod import;
mod keys;
mod migrate;
mod replay;
mod serve;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad configuration and bad usage, as sysexits.h has it.
const EX_USAGE: u8 = 64;

#[derive(Parser)]
#[command(name = "oneshelf", version, about = "One shelf for every channel: price, stock, orders, partners, loyalty.")]
struct Cli {
    /// A TOML file over the defaults; the environment (ONESHELF__…) goes over both.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve some services, or all, in this process.
    Serve(serve::ServeArgs),
    /// Bring the schemas of all services up to date.
    Migrate,
    /// Make and revoke API keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Check every invariant over all schemas; exit 1 when one is broken.
    Verify(verify::VerifyArgs),
    /// Drive a real retailer's year through the API and compare every figure.
    Replay(replay::ReplayArgs),
    /// Bring data in from files.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Write data out to files.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Measure speed beside the limits of this machine.
    Bench(bench::BenchArgs),
    /// Serve everything with a demo shop and live traffic.
    Demo(demo::DemoArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version.
    Version,
    /// The bare gRPC echo that `bench` measures against.
    #[command(hide = true)]
    BenchEcho(bench::EchoArgs),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is good, and name what is not.
    Check,
    /// Print the commented defaults.
    Defaults,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two workers at least: an exporter that waits on the only one would hang the process.
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("oneshelf: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("oneshelf: {error:#}");
            if error.is::<BadConfig>() { ExitCode::from(EX_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The configuration does not allow a start.
#[derive(Debug)]
struct BadConfig(String);

impl std::fmt::Display for BadConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadConfig {}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.config;
    let load_for = |services: &[&str]| {
        config::Config::load(file.as_deref())
            .and_then(|config| config.require(services).map(|()| config))
            .map_err(|error| BadConfig(format!("{error:#}")))
    };
    let load = || load_for(&serve::SERVICES);
    match cli.command {
        Command::Serve(args) => serve::run(&args, load_for(&args.names())?).await,
        Command::Migrate => migrate::run(&load()?).await,
        Command::Keys(command) => keys::run(command, &load_for(&[])?).await,
        Command::Verify(args) => verify::run(&args, &load()?).await,
        Command::Replay(args) => replay::run(args, load, file.as_deref()).await,
        Command::Import(command) => import::run(command).await,
        Command::Export(command) => export::run(command).await,
        Command::Bench(args) => bench::run(&args, load()?).await,
        Command::BenchEcho(args) => bench::serve_echo(args).await,
        Command::Demo(args) => demo::run(args, load()?).await,
        Command::Config(ConfigCommand::Check) => {
            load()?;
            println!("the configuration is good");
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(ConfigCommand::Defaults) => {
            print!("{}", config::DEFAULTS);
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            println!("oneshelf {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}
