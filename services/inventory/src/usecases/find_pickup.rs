//! Where near a point an order can be handed over, and whether what is wanted is there.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{Coordinates, LocationId, Sku};

use super::{
    Error, Inventory,
    figures::{Who, locations_of, read_live},
};
use crate::{
    domain::{availability::Band, location::Location},
    store,
};

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub near: Coordinates,
    pub radius_m: u32,
    /// SKUs and units.
    pub lines: Vec<(Sku, i64)>,
    pub complete_only: bool,
    pub limit: usize,
}

/// A place that hands orders over.
#[derive(Debug, Clone)]
pub struct Place {
    pub location: Location,
    pub coordinates: Coordinates,
    pub distance_m: u32,
    pub open: bool,
    pub next_opening: Option<DateTime<Utc>>,
    /// What is available of each line, in the order asked.
    pub lines: Vec<(i64, Band)>,
    pub complete: bool,
}

impl Inventory {
    /// The nearest first; two statements besides the channel's, whatever the number of places and lines.
    pub async fn find_pickup(&self, caller: &Caller, who: Who, wanted: Wanted) -> Result<Vec<Place>, Error> {
        let (who, now) = (who.within(caller)?, self.clock.now());
        let sold_from = locations_of(&self.pool, &who.channel).await?;
        let (south, north) = wanted.near.latitudes_within(wanted.radius_m);
        let candidates = store::locations::list_pickup_locations(&self.pool, &sold_from, south, north).await?;
        let mut near: Vec<(u32, Coordinates, Location)> = candidates
            .into_iter()
            .filter_map(|location| {
                let coordinates = location.details.coordinates?;
                Some((wanted.near.distance_m(&coordinates), coordinates, location))
            })
            .filter(|(distance_m, ..)| *distance_m <= wanted.radius_m)
            .collect();
        near.sort_by(|a, b| (a.0, &a.2.location_id).cmp(&(b.0, &b.2.location_id)));
        if !wanted.complete_only {
            near.truncate(wanted.limit);
        }
        let figures = self.figures_at(&who, &wanted.lines, &near, now).await?;
        let places = near.into_iter().map(|(distance_m, coordinates, location)| {
            let lines: Vec<(i64, Band)> = wanted
                .lines
                .iter()
                .map(|(sku, _)| {
                    let key = (location.location_id.clone(), sku.clone());
                    figures.get(&key).copied().unwrap_or((0, Band::Out))
                })
                .collect();
            let calendar = location.details.calendar.as_ref();
            let next_opening = calendar.map_or(Some(now), |calendar| calendar.next_opening(now));
            Place {
                complete: lines.iter().zip(&wanted.lines).all(|((available, _), (_, asked))| available >= asked),
                open: next_opening == Some(now),
                next_opening,
                location,
                coordinates,
                distance_m,
                lines,
            }
        });
        Ok(places.filter(|place| place.complete || !wanted.complete_only).take(wanted.limit).collect())
    }

    async fn figures_at(
        &self,
        who: &Who,
        lines: &[(Sku, i64)],
        near: &[(u32, Coordinates, Location)],
        now: DateTime<Utc>,
    ) -> Result<HashMap<(LocationId, Sku), (i64, Band)>, Error> {
        if lines.is_empty() || near.is_empty() {
            return Ok(HashMap::new());
        }
        let skus: Vec<&str> = lines.iter().map(|(sku, _)| sku.as_str()).collect();
        let locations: Vec<String> = near.iter().map(|(.., location)| location.location_id.to_string()).collect();
        let shelf = read_live(&self.pool, &skus, &locations, now).await?;
        let figures = shelf.levels.iter().map(|live| {
            let available = shelf.breakdown(live, who.asker()).available;
            ((live.key.location.clone(), live.key.sku.clone()), (available, Band::of(available, live.low_threshold)))
        });
        Ok(figures.collect())
    }
}
