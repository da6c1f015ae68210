//! Places that hold stock.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc, Weekday};
use chrono_tz::Tz;
use oneshelf_values::{Coordinates, CountryCode, Gln, LocationId, PartnerId, ZoneId};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::{Inconsistency, parse};
use crate::domain::{
    calendar::{Calendar, OpeningHours},
    location::{Abilities, Details, Leftover, Leftovers, Location, LocationKind, LocationState},
};

/// As stored, and as kept with the answer to a request.
#[derive(Serialize, Deserialize)]
pub(super) struct LocationRow {
    location_id: String,
    kind: String,
    title: String,
    oversell_facts: bool,
    state: String,
    gln: Option<String>,
    latitude: Option<i32>,
    longitude: Option<i32>,
    country_code: Option<String>,
    zone_id: Option<String>,
    calendar: Option<Json<CalendarRow>>,
    can_ship: bool,
    can_pickup: bool,
    can_return: bool,
    can_transfer: bool,
    daily_capacity: Option<i32>,
    priority: i32,
    owner_id: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct CalendarRow {
    time_zone: String,
    /// ISO weekday, then the minutes of opening and closing.
    hours: Vec<(u32, u16, u16)>,
    closed_days: Vec<NaiveDate>,
    ship_cut_off: Option<u16>,
}

impl From<&Location> for LocationRow {
    fn from(location: &Location) -> Self {
        let details = &location.details;
        Self {
            location_id: location.location_id.to_string(),
            kind: details.kind.as_str().to_owned(),
            title: details.title.clone(),
            oversell_facts: location.oversell_facts,
            state: location.state.as_str().to_owned(),
            gln: details.gln.as_ref().map(Gln::to_string),
            latitude: details.coordinates.map(|at| at.latitude_micro_degrees()),
            longitude: details.coordinates.map(|at| at.longitude_micro_degrees()),
            country_code: details.country.map(|country| country.to_string()),
            zone_id: details.zone.as_ref().map(ZoneId::to_string),
            calendar: details.calendar.as_ref().map(|calendar| {
                Json(CalendarRow {
                    time_zone: calendar.time_zone().name().to_owned(),
                    hours: calendar
                        .hours()
                        .iter()
                        .map(|one| (one.weekday.number_from_monday(), one.opens, one.closes))
                        .collect(),
                    closed_days: calendar.closed_days().iter().copied().collect(),
                    ship_cut_off: calendar.ship_cut_off(),
                })
            }),
            can_ship: details.abilities.ship,
            can_pickup: details.abilities.pickup,
            can_return: details.abilities.take_returns,
            can_transfer: details.abilities.transfer,
            daily_capacity: details.daily_capacity,
            priority: details.priority,
            owner_id: details.owner.as_ref().map(PartnerId::to_string),
            version: location.version,
            created_at: location.created_at,
            updated_at: location.updated_at,
        }
    }
}

impl TryFrom<LocationRow> for Location {
    type Error = sqlx::Error;

    fn try_from(row: LocationRow) -> Result<Self, sqlx::Error> {
        let unfit = |column: &'static str, value: String| Inconsistency {
            table: "locations",
            column,
            key: row.location_id.clone(),
            value,
        };
        let coordinates = row
            .latitude
            .zip(row.longitude)
            .map(|(latitude, longitude)| Coordinates::try_new(latitude, longitude))
            .transpose()
            .map_err(|error| unfit("latitude", error.to_string()))?;
        let calendar =
            row.calendar.map(|Json(stored)| calendar(stored)).transpose().map_err(|wrong| unfit("calendar", wrong))?;
        Ok(Self {
            location_id: parse("locations", "location_id", &row.location_id)?,
            details: Details {
                kind: LocationKind::parse(&row.kind).ok_or_else(|| unfit("kind", row.kind.clone()))?,
                title: row.title,
                gln: optional::<Gln>("gln", row.gln.as_deref())?,
                coordinates,
                country: optional::<CountryCode>("country_code", row.country_code.as_deref())?,
                zone: optional::<ZoneId>("zone_id", row.zone_id.as_deref())?,
                calendar,
                abilities: Abilities {
                    ship: row.can_ship,
                    pickup: row.can_pickup,
                    take_returns: row.can_return,
                    transfer: row.can_transfer,
                },
                daily_capacity: row.daily_capacity,
                priority: row.priority,
                owner: optional::<PartnerId>("owner_id", row.owner_id.as_deref())?,
            },
            oversell_facts: row.oversell_facts,
            state: LocationState::parse(&row.state).ok_or_else(|| unfit("state", row.state.clone()))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn optional<T: std::str::FromStr>(column: &'static str, value: Option<&str>) -> Result<Option<T>, sqlx::Error> {
    value.map(|value| parse("locations", column, value)).transpose()
}

fn calendar(stored: CalendarRow) -> Result<Calendar, String> {
    let time_zone: Tz = stored.time_zone.parse().map_err(|_| stored.time_zone.clone())?;
    let hours = stored
        .hours
        .into_iter()
        .map(|(weekday, opens, closes)| {
            let weekday = u8::try_from(weekday).ok().and_then(|day| Weekday::try_from(day.wrapping_sub(1)).ok());
            Ok(OpeningHours { weekday: weekday.ok_or("no weekday")?, opens, closes })
        })
        .collect::<Result<_, String>>()?;
    Calendar::try_new(time_zone, hours, stored.closed_days.into_iter().collect(), stored.ship_cut_off)
        .map_err(|error| error.to_string())
}

/// Inserts a location; `false` when the id is taken.
pub async fn insert_location(conn: &mut PgConnection, location: &Location) -> Result<bool, sqlx::Error> {
    let row = LocationRow::from(location);
    let inserted = sqlx::query!(
        r#"
        INSERT INTO inventory.locations (
            location_id
          , kind
          , title
          , oversell_facts
          , state
          , gln
          , latitude
          , longitude
          , country_code
          , zone_id
          , calendar
          , can_ship
          , can_pickup
          , can_return
          , can_transfer
          , daily_capacity
          , priority
          , owner_id
          , version
          , created_at
          , updated_at
        )
        VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
        )
            ON CONFLICT (location_id) DO NOTHING
        "#,
        row.location_id,
        row.kind,
        row.title,
        row.oversell_facts,
        row.state,
        row.gln,
        row.latitude,
        row.longitude,
        row.country_code,
        row.zone_id,
        row.calendar as _,
        row.can_ship,
        row.can_pickup,
        row.can_return,
        row.can_transfer,
        row.daily_capacity,
        row.priority,
        row.owner_id,
        row.version,
        row.created_at,
        row.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Writes a location back that this transaction locked. Another state is one that its levels have to follow.
pub async fn update_location(conn: &mut PgConnection, location: &Location) -> Result<(), sqlx::Error> {
    let row = LocationRow::from(location);
    sqlx::query!(
        r#"
        UPDATE inventory.locations
           SET kind = $2
             , title = $3
             , levels_behind = levels_behind OR state <> $4
             , state = $4
             , gln = $5
             , latitude = $6
             , longitude = $7
             , country_code = $8
             , zone_id = $9
             , calendar = $10
             , can_ship = $11
             , can_pickup = $12
             , can_return = $13
             , can_transfer = $14
             , daily_capacity = $15
             , priority = $16
             , owner_id = $17
             , version = $18
             , updated_at = $19
         WHERE location_id = $1
        "#,
        row.location_id,
        row.kind,
        row.title,
        row.state,
        row.gln,
        row.latitude,
        row.longitude,
        row.country_code,
        row.zone_id,
        row.calendar as _,
        row.can_ship,
        row.can_pickup,
        row.can_return,
        row.can_transfer,
        row.daily_capacity,
        row.priority,
        row.owner_id,
        row.version,
        row.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads these locations, by id; unknown ones are missing from the answer.
pub async fn find_locations(conn: &mut PgConnection, location_ids: &[&str]) -> Result<Vec<Location>, sqlx::Error> {
    sqlx::query_as!(
        LocationRow,
        r#"
        SELECT location_id
             , kind
             , title
             , oversell_facts
             , state
             , gln
             , latitude
             , longitude
             , country_code
             , zone_id
             , calendar AS "calendar: Json<CalendarRow>"
             , can_ship
             , can_pickup
             , can_return
             , can_transfer
             , daily_capacity
             , priority
             , owner_id
             , version
             , created_at
             , updated_at
          FROM inventory.locations
         WHERE location_id = ANY ($1)
         ORDER BY location_id
        "#,
        location_ids as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Location::try_from)
    .collect()
}

/// Locks a location alone, before its levels: no level is made at it, and its state stands, until the commit.
pub async fn lock_location(conn: &mut PgConnection, location_id: &LocationId) -> Result<Option<Location>, sqlx::Error> {
    sqlx::query_as!(
        LocationRow,
        r#"
        SELECT location_id
             , kind
             , title
             , oversell_facts
             , state
             , gln
             , latitude
             , longitude
             , country_code
             , zone_id
             , calendar AS "calendar: Json<CalendarRow>"
             , can_ship
             , can_pickup
             , can_return
             , can_transfer
             , daily_capacity
             , priority
             , owner_id
             , version
             , created_at
             , updated_at
          FROM inventory.locations
         WHERE location_id = $1
           FOR UPDATE
        "#,
        location_id.as_str(),
    )
    .fetch_optional(conn)
    .await?
    .map(Location::try_from)
    .transpose()
}

/// Locks the states of locations against change, by id, before their levels.
pub async fn share_location_states(
    conn: &mut PgConnection,
    location_ids: &[&str],
) -> Result<HashMap<LocationId, LocationState>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT location_id
             , state
          FROM inventory.locations
         WHERE location_id = ANY ($1)
         ORDER BY location_id
           FOR SHARE
        "#,
        location_ids as &[&str],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let unfit = || Inconsistency {
            table: "locations",
            column: "state",
            key: row.location_id.clone(),
            value: row.state.clone(),
        };
        Ok((parse("locations", "location_id", &row.location_id)?, LocationState::parse(&row.state).ok_or_else(unfit)?))
    })
    .collect()
}

/// Locks all levels of a location, by SKU, and says what they still have. The location is locked.
pub async fn lock_leftovers(conn: &mut PgConnection, location_id: &LocationId) -> Result<Leftovers, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        WITH locked AS MATERIALIZED (
            SELECT sku
                 , sellable
                 , damaged
                 , quarantine
                 , soft_held
                 , hard_held
              FROM inventory.stock_levels
             WHERE location_id = $1
             ORDER BY sku
               FOR UPDATE
        )
        SELECT sku AS "sku!"
             , sellable + damaged + quarantine AS "on_hand!"
             , soft_held AS "soft_held!"
             , hard_held AS "hard_held!"
             , COUNT(*) OVER () AS "levels!"
          FROM locked
         WHERE sellable <> 0
            OR damaged <> 0
            OR quarantine <> 0
            OR soft_held <> 0
            OR hard_held <> 0
         ORDER BY sku
         LIMIT 10
        "#,
        location_id.as_str(),
    )
    .fetch_all(conn)
    .await?;
    Ok(Leftovers {
        levels: rows.first().map_or(0, |row| row.levels),
        first: rows
            .into_iter()
            .map(|row| {
                Ok(Leftover {
                    sku: parse("stock_levels", "sku", &row.sku)?,
                    on_hand: row.on_hand,
                    soft_held: row.soft_held,
                    hard_held: row.hard_held,
                })
            })
            .collect::<Result<_, sqlx::Error>>()?,
    })
}

/// Marks all levels of a location as closed. They are locked, empty and inactive, so nothing that is announced changes.
pub async fn close_levels(conn: &mut PgConnection, location_id: &LocationId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.stock_levels
           SET location_closed = TRUE
         WHERE location_id = $1
        "#,
        location_id.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locations with levels that have a copy of an older state.
pub async fn list_locations_behind(pool: &PgPool, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT location_id
          FROM inventory.locations
         WHERE levels_behind
         ORDER BY location_id
         LIMIT $1
        "#,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// The next SKUs after `after` whose level has another state than its location.
pub async fn list_levels_behind(
    pool: &PgPool,
    location_id: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT sku
          FROM inventory.stock_levels
          JOIN inventory.locations USING (location_id)
         WHERE location_id = $1
           AND sku > $2
           AND (location_active <> (state = 'active') OR location_closed <> (state = 'closed'))
         ORDER BY sku
         LIMIT $3
        "#,
        location_id,
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Notes that all levels have the state of this version of the location, unless it has moved on since.
pub async fn finish_following(pool: &PgPool, location_id: &str, version: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE inventory.locations
           SET levels_behind = FALSE
         WHERE location_id = $1
           AND version = $2
        "#,
        location_id,
        version,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A location's version, and whether levels of it are behind.
pub async fn find_progress(conn: &mut PgConnection, location_id: &str) -> Result<Option<(i64, bool)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT version
             , levels_behind
          FROM inventory.locations
         WHERE location_id = $1
        "#,
        location_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.version, row.levels_behind)))
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct LocationFilter {
    pub kind: Option<LocationKind>,
    pub state: Option<LocationState>,
    pub country: Option<CountryCode>,
    pub zone: Option<ZoneId>,
    pub owner: Option<PartnerId>,
    /// Abilities that it must have.
    pub ship: bool,
    pub pickup: bool,
    pub take_returns: bool,
    pub transfer: bool,
}

/// Reads a page by id, after `after`.
pub async fn list_locations(
    pool: &PgPool,
    filter: &LocationFilter,
    after: &str,
    limit: i64,
) -> Result<Vec<Location>, sqlx::Error> {
    sqlx::query_as!(
        LocationRow,
        r#"
        SELECT location_id
             , kind
             , title
             , oversell_facts
             , state
             , gln
             , latitude
             , longitude
             , country_code
             , zone_id
             , calendar AS "calendar: Json<CalendarRow>"
             , can_ship
             , can_pickup
             , can_return
             , can_transfer
             , daily_capacity
             , priority
             , owner_id
             , version
             , created_at
             , updated_at
          FROM inventory.locations
         WHERE location_id > $1
           AND ($3::TEXT IS NULL OR kind = $3)
           AND ($4::TEXT IS NULL OR state = $4)
           AND ($5::TEXT IS NULL OR country_code = $5)
           AND ($6::TEXT IS NULL OR zone_id = $6)
           AND ($7::TEXT IS NULL OR owner_id = $7)
           AND (can_ship OR NOT $8)
           AND (can_pickup OR NOT $9)
           AND (can_return OR NOT $10)
           AND (can_transfer OR NOT $11)
         ORDER BY location_id
         LIMIT $2
        "#,
        after,
        limit,
        filter.kind.map(LocationKind::as_str),
        filter.state.map(LocationState::as_str),
        filter.country.as_ref().map(CountryCode::as_str),
        filter.zone.as_ref().map(ZoneId::as_str),
        filter.owner.as_ref().map(PartnerId::as_str),
        filter.ship,
        filter.pickup,
        filter.take_returns,
        filter.transfer,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Location::try_from)
    .collect()
}

/// Of these locations: the active ones that hand orders over, between two latitudes.
pub async fn list_pickup_locations(
    pool: &PgPool,
    location_ids: &[String],
    south: i32,
    north: i32,
) -> Result<Vec<Location>, sqlx::Error> {
    sqlx::query_as!(
        LocationRow,
        r#"
        SELECT location_id
             , kind
             , title
             , oversell_facts
             , state
             , gln
             , latitude
             , longitude
             , country_code
             , zone_id
             , calendar AS "calendar: Json<CalendarRow>"
             , can_ship
             , can_pickup
             , can_return
             , can_transfer
             , daily_capacity
             , priority
             , owner_id
             , version
             , created_at
             , updated_at
          FROM inventory.locations
         WHERE location_id = ANY ($1)
           AND state = 'active'
           AND can_pickup
           AND latitude BETWEEN $2 AND $3
        "#,
        location_ids,
        south,
        north,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Location::try_from)
    .collect()
}
