//! Price lists.

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Currency, PriceListId};
use sqlx::PgConnection;

use crate::domain::price_list::PriceList;

/// The unique index that gives a channel one list per currency.
pub const CHANNEL_CURRENCY_KEY: &str = "price_lists_channel_id_currency_key";
pub const PRIMARY_KEY: &str = "price_lists_pkey";

pub async fn insert_price_list(
    conn: &mut PgConnection,
    list: &PriceList,
    head_version: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO catalog.price_lists (
            price_list_id, title, currency, channel_id, rising_tiers, head_version, created_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        "#,
        list.price_list_id.as_str(),
        list.title,
        list.currency.code(),
        list.channel.as_ref().map_or("", ChannelId::as_str),
        list.rising_tiers,
        head_version,
        list.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn find_price_list(
    conn: &mut PgConnection,
    price_list_id: &PriceListId,
) -> Result<Option<PriceList>, sqlx::Error> {
    sqlx::query_as!(
        PriceListRow,
        r#"
        SELECT
            price_list_id AS "price_list_id: PriceListId"
          , title
          , currency AS "currency: Currency"
          , channel_id
          , rising_tiers
          , version
          , created_at
        FROM catalog.price_lists
        WHERE price_list_id = $1
        "#,
        price_list_id.as_str(),
    )
    .fetch_optional(conn)
    .await?
    .map(PriceList::try_from)
    .transpose()
}

/// Lists in id order, from the one after `after` on.
pub async fn list_price_lists(
    conn: &mut PgConnection,
    after: Option<&PriceListId>,
    limit: i64,
) -> Result<Vec<PriceList>, sqlx::Error> {
    sqlx::query_as!(
        PriceListRow,
        r#"
        SELECT
            price_list_id AS "price_list_id: PriceListId"
          , title
          , currency AS "currency: Currency"
          , channel_id
          , rising_tiers
          , version
          , created_at
        FROM catalog.price_lists
        WHERE price_list_id > $1
        ORDER BY price_list_id
        LIMIT $2
        "#,
        after.map_or("", PriceListId::as_str),
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(PriceList::try_from)
    .collect()
}

/// The lists that came in after `head_version`.
pub async fn list_price_lists_after(conn: &mut PgConnection, head_version: i64) -> Result<Vec<PriceList>, sqlx::Error> {
    sqlx::query_as!(
        PriceListRow,
        r#"
        SELECT
            price_list_id AS "price_list_id: PriceListId"
          , title
          , currency AS "currency: Currency"
          , channel_id
          , rising_tiers
          , version
          , created_at
        FROM catalog.price_lists
        WHERE head_version > $1
        "#,
        head_version,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(PriceList::try_from)
    .collect()
}

/// Counts one publish and its events; answers the version of the last event before them.
pub async fn count_publish(
    conn: &mut PgConnection,
    price_list_id: &PriceListId,
    events: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        UPDATE catalog.price_lists
        SET version = version + 1
          , event_version = event_version + $2
        WHERE price_list_id = $1
        RETURNING event_version - $2 AS "before!"
        "#,
        price_list_id.as_str(),
        events,
    )
    .fetch_one(conn)
    .await
}

struct PriceListRow {
    price_list_id: PriceListId,
    title: String,
    currency: Currency,
    channel_id: String,
    rising_tiers: bool,
    version: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<PriceListRow> for PriceList {
    type Error = sqlx::Error;

    fn try_from(row: PriceListRow) -> Result<Self, sqlx::Error> {
        let channel = match row.channel_id.as_str() {
            "" => None,
            id => Some(id.parse::<ChannelId>().map_err(|error| {
                sqlx::Error::Decode(format!("catalog.price_lists.channel_id holds {id:?}: {error}").into())
            })?),
        };
        Ok(Self {
            price_list_id: row.price_list_id,
            title: row.title,
            currency: row.currency,
            channel,
            rising_tiers: row.rising_tiers,
            version: row.version,
            created_at: row.created_at,
        })
    }
}
