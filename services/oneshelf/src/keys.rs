//! Makes and revokes API keys. A key is shown once, when it is made; only its keyed hash is kept.

use std::process::ExitCode;

use anyhow::Context;
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use oneshelf_kit::{
    auth::{self, NewKey, Pepper, Scope},
    pg,
};
use oneshelf_values::{ChannelId, Clock, PartnerId};
use secrecy::ExposeSecret;

use crate::config::Config;

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it.
    Create(CreateArgs),
    /// Revoke a key by its id (the part between the underscores). It stops working within half a minute.
    Revoke { key_id: String },
}

#[derive(Args)]
pub struct CreateArgs {
    /// What the key is for, in words.
    #[arg(long)]
    title: String,
    /// What it may do: `inventory:HoldStock`, `inventory:*` or `*`. May be repeated.
    #[arg(long = "scope", required = true, value_parser = Scope::parse)]
    scopes: Vec<Scope>,
    /// The only channel that it may act for.
    #[arg(long)]
    channel: Option<ChannelId>,
    /// The only partner that it may act for.
    #[arg(long)]
    partner: Option<PartnerId>,
    /// Days until it ends; without it, it works until revoked.
    #[arg(long)]
    days: Option<u32>,
}

pub async fn run(command: KeysCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let pool = pg::connect(&config.access.database, "keys").await.context("access.database")?;
    let clock = Clock::system();
    match command {
        KeysCommand::Create(args) => {
            let pepper = Pepper::try_new(&config.access.pepper).context("access.pepper")?;
            let key = NewKey {
                title: args.title,
                scopes: args.scopes,
                channel: args.channel,
                partner: args.partner,
                expires_at: args.days.map(|days| clock.now() + TimeDelta::days(days.into())),
            };
            let secret = auth::create_key(&pool, &pepper, &clock, &key).await?;
            println!("{}", secret.expose_secret());
            Ok(ExitCode::SUCCESS)
        }
        KeysCommand::Revoke { key_id } => {
            if auth::revoke_key(&pool, &clock, &key_id).await? {
                println!("revoked");
                Ok(ExitCode::SUCCESS)
            } else {
                anyhow::bail!("no live key has the id {key_id}");
            }
        }
    }
}
