//! The registry's rows.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use oneshelf_values::ChannelId;
use sqlx::PgConnection;

use super::parse;
use crate::domain::channel::Channel;

struct Row {
    channel_id: String,
    kind: String,
    title: String,
    currency: String,
    version: i64,
    created_at: DateTime<Utc>,
    location_ids: Vec<String>,
}

impl TryFrom<Row> for Channel {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let id = &row.channel_id;
        Ok(Self {
            kind: parse("channels", "kind", id, &row.kind)?,
            title: parse("channels", "title", id, &row.title)?,
            currency: parse("channels", "currency", id, &row.currency)?,
            location_ids: row
                .location_ids
                .iter()
                .map(|location| parse("channel_locations", "location_id", id, location))
                .collect::<Result<BTreeSet<_>, _>>()?,
            version: row.version,
            created_at: row.created_at,
            channel_id: parse("channels", "channel_id", id, id)?,
        })
    }
}

/// Adds a channel with its locations; false when the id is taken.
pub async fn insert_channel(conn: &mut PgConnection, channel: &Channel) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        r"
        INSERT INTO channels.channels (
            channel_id
          , kind
          , title
          , currency
          , version
          , created_at
          , updated_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (channel_id) DO NOTHING
        ",
        channel.channel_id.as_str(),
        channel.kind.as_str(),
        channel.title.as_str(),
        channel.currency.code(),
        channel.version,
        channel.created_at,
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    set_locations(conn, channel).await?;
    Ok(true)
}

/// Writes what may change of a locked channel.
pub async fn update_channel(conn: &mut PgConnection, channel: &Channel, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r"
        UPDATE channels.channels
        SET title = $2
          , version = $3
          , updated_at = $4
        WHERE channel_id = $1
        ",
        channel.channel_id.as_str(),
        channel.title.as_str(),
        channel.version,
        now,
    )
    .execute(&mut *conn)
    .await?;
    set_locations(conn, channel).await
}

async fn set_locations(conn: &mut PgConnection, channel: &Channel) -> Result<(), sqlx::Error> {
    let location_ids: Vec<&str> = channel.location_ids.iter().map(AsRef::as_ref).collect();
    sqlx::query!(
        r"
        WITH removed AS (
            DELETE FROM channels.channel_locations
            WHERE channel_id = $1 AND location_id <> ALL ($2::TEXT[])
        )
        INSERT INTO channels.channel_locations (channel_id, location_id)
        SELECT $1
             , location_id
        FROM UNNEST($2::TEXT[]) AS location (location_id)
        ON CONFLICT (channel_id, location_id) DO NOTHING
        ",
        channel.channel_id.as_str(),
        &location_ids as &[&str],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Reads a channel and locks it against other changes of it and of its listings.
pub async fn lock_channel(conn: &mut PgConnection, channel_id: &ChannelId) -> Result<Option<Channel>, sqlx::Error> {
    lock_channels(conn, &[channel_id.as_str()]).await?;
    find_channel(conn, channel_id).await
}

/// Locks channels, by id, against other changes of them and of their listings.
///
/// What is read after this sees all that the former holders committed.
pub async fn lock_channels(conn: &mut PgConnection, channel_ids: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r"
        SELECT
        FROM channels.channels
        WHERE channel_id = ANY ($1::TEXT[])
        ORDER BY channel_id
        FOR NO KEY UPDATE
        ",
        channel_ids as &[&str],
    )
    .execute(conn)
    .await
    .map(drop)
}

pub async fn find_channel(conn: &mut PgConnection, channel_id: &ChannelId) -> Result<Option<Channel>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT channel_id
             , kind
             , title
             , currency
             , version
             , created_at
             , ARRAY(
                   SELECT l.location_id
                   FROM channels.channel_locations l
                   WHERE l.channel_id = c.channel_id
               ) AS "location_ids!"
        FROM channels.channels c
        WHERE channel_id = $1
        "#,
        channel_id.as_str(),
    )
    .fetch_optional(conn)
    .await?
    .map(Channel::try_from)
    .transpose()
}

/// Channels by id, after `after`, or the one that the caller is bound to.
pub async fn list_channels(
    conn: &mut PgConnection,
    only: Option<&ChannelId>,
    after: &str,
    limit: i64,
) -> Result<Vec<Channel>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT channel_id
             , kind
             , title
             , currency
             , version
             , created_at
             , ARRAY(
                   SELECT l.location_id
                   FROM channels.channel_locations l
                   WHERE l.channel_id = c.channel_id
               ) AS "location_ids!"
        FROM channels.channels c
        WHERE channel_id > $1
          AND ($2::TEXT IS NULL OR channel_id = $2)
        ORDER BY channel_id
        LIMIT $3
        "#,
        after,
        only.map(ChannelId::as_str),
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Channel::try_from)
    .collect()
}

/// The newest sequence number of a channel; `None` when there is no such channel.
pub async fn find_last_seq(conn: &mut PgConnection, channel_id: &ChannelId) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r"
        SELECT last_seq
        FROM channels.channels
        WHERE channel_id = $1
        ",
        channel_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}
