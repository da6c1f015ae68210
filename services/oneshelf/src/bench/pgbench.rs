//! The limit for holds: the least that a reservation in PostgreSQL costs, one statement per transaction, from pgbench.
//!
//! A conditional update that cannot oversell, and the insert of the reservation's row. No gRPC, no repeated request
//! that gets its first answer, no version, no expiry, no event: what a shop would write by hand.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use sqlx::{ConnectOptions, PgPool, postgres::PgConnectOptions};
use tokio::process::Command;

use super::stage::scratch;

/// As many rows as our own bench has SKUs.
pub const ROWS: i64 = 10_000;

pub struct Pgbench {
    program: PathBuf,
    pool: PgPool,
    options: PgConnectOptions,
}

impl Pgbench {
    pub async fn prepare(pool: &PgPool, options: &PgConnectOptions) -> anyhow::Result<Self> {
        sqlx::query("CREATE SCHEMA limits").execute(pool).await?;
        sqlx::query(
            r"
            CREATE TABLE limits.stock (
                sku BIGINT PRIMARY KEY
              , on_hand BIGINT NOT NULL
              , reserved BIGINT NOT NULL DEFAULT 0
              , CHECK (reserved BETWEEN 0 AND on_hand)
            ) WITH (fillfactor = 70)
            ",
        )
        .execute(pool)
        .await?;
        sqlx::query(
            r"
            CREATE TABLE limits.reservations (
                reservation_id UUID PRIMARY KEY
              , sku BIGINT NOT NULL
              , quantity BIGINT NOT NULL
              , created_at TIMESTAMPTZ NOT NULL
            )
            ",
        )
        .execute(pool)
        .await?;
        sqlx::query("INSERT INTO limits.stock SELECT sku, 1000000000 FROM generate_series(1, $1) AS sku")
            .bind(ROWS)
            .execute(pool)
            .await?;
        Ok(Self { program: find()?, pool: pool.clone(), options: options.clone() })
    }

    /// Reservations per second over `rows` rows: all, or the one hot row.
    pub async fn run(&self, clients: usize, hot: bool, time: Duration) -> anyhow::Result<f64> {
        // Every round begins alike: no reservations, no dead rows.
        sqlx::query("TRUNCATE limits.reservations").execute(&self.pool).await?;
        sqlx::query("VACUUM (ANALYZE) limits.stock").execute(&self.pool).await?;
        let rows = if hot { 1 } else { ROWS };
        let script = scratch()?.join("reserve.sql");
        std::fs::write(&script, reserve(rows))?;
        let url = self.options.to_url_lossy();
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={}", clients.min(2)))
            .arg(format!("--time={}", time.as_secs().max(1)))
            .arg(format!("--file={}", script.display()))
            .env("PGHOST", self.options.get_host())
            .env("PGPORT", self.options.get_port().to_string())
            .env("PGUSER", self.options.get_username())
            .env("PGPASSWORD", url.password().unwrap_or_default())
            .env("PGDATABASE", self.options.get_database().unwrap_or_default())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
        tps(&text).with_context(|| format!("pgbench said no rate: {text}"))
    }
}

fn reserve(rows: i64) -> String {
    format!("\\set id random(1, {rows})\n{};\n", reservation(":id"))
}

/// The statement that reserves a unit of a row. `id` is how the row's number is written in it.
pub fn reservation(id: &str) -> String {
    format!(
        r"
        WITH taken AS (
            UPDATE limits.stock
               SET reserved = reserved + 1
             WHERE sku = {id}
               AND reserved + 1 <= on_hand
            RETURNING sku
        )
        INSERT INTO limits.reservations (reservation_id, sku, quantity, created_at)
        SELECT gen_random_uuid(), sku, 1, now()
          FROM taken
        "
    )
}

/// From the line `tps = 12345.678 (without initial connection time)`.
fn tps(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
}

/// In PATH, or where Debian keeps the newest version's programs.
fn find() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    installed.sort_by_key(|bin| bin.parent().and_then(|version| version.file_name()?.to_str()?.parse::<u32>().ok()));
    std::env::split_paths(&path)
        .chain(installed.into_iter().rev())
        .map(|directory| directory.join("pgbench"))
        .find(|program| program.is_file())
        .context("pgbench is not in PATH nor in /usr/lib/postgresql/*/bin: install PostgreSQL's client programs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_pgbench() {
        let said = "latency average = 2.3 ms\ntps = 13804.512345 (without initial connection time)\n";
        assert_eq!(tps(said), Some(13_804.512_345));
        assert_eq!(tps("pgbench: error"), None);
    }
}
