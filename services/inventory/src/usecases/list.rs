//! Reads of records: locations, holds, levels, the ledger.

use chrono::{DateTime, Utc};
use oneshelf_kit::auth::Caller;
use oneshelf_values::{HoldId, LocationId, Sku};

use super::{Error, Inventory};
pub use crate::store::{
    ledger::{StockAsOf, StoredMovement},
    locations::LocationFilter,
    lots::{AfterLot, StoredLot, StoredSerial},
    stock_levels::StoredLevel,
};
use crate::{
    domain::{
        Refusal,
        hold::StockHold,
        kit::Kit,
        location::Location,
        lot::{LotNumber, Tracking},
        policy::{RingFence, SkuPolicy, StockPolicy},
        stock_level::LevelKey,
    },
    store,
};

/// Movements of one serial number that are read.
const MAX_HISTORY: i64 = 100;

/// Where a serial number is, and how it came there.
#[derive(Debug, Clone)]
pub struct SerialHistory {
    pub serial: StoredSerial,
    /// Newest first.
    pub movements: Vec<StoredMovement>,
}

impl Inventory {
    pub async fn get_location(&self, location_id: LocationId) -> Result<Location, Error> {
        let mut conn = self.pool.acquire().await?;
        store::locations::find_locations(&mut conn, &[location_id.as_str()])
            .await?
            .pop()
            .ok_or_else(|| Refusal::LocationNotFound { location: location_id }.into())
    }

    pub async fn list_locations(
        &self,
        filter: &LocationFilter,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Location>, Error> {
        Ok(store::locations::list_locations(&self.pool, filter, after, limit).await?)
    }

    /// Reads a hold with its standing at this moment. A key bound to a channel sees only that channel's holds.
    pub async fn get_hold(&self, caller: &Caller, hold_id: HoldId) -> Result<StockHold, Error> {
        let mut conn = self.pool.acquire().await?;
        store::holds::find_hold(&mut conn, hold_id)
            .await?
            .filter(|hold| super::check_channel(caller, hold.channel.as_ref()).is_ok())
            .ok_or_else(|| Refusal::HoldNotFound { hold_id }.into())
    }

    pub async fn list_stock_levels(
        &self,
        location: Option<&LocationId>,
        sku: Option<&Sku>,
        after: Option<&LevelKey>,
        limit: i64,
    ) -> Result<Vec<StoredLevel>, Error> {
        let now = self.clock.now();
        let after = after.map(|key| (key.sku.as_str(), key.location.as_str()));
        Ok(store::stock_levels::list_stock_levels(&self.pool, location, sku, after, limit, now).await?)
    }

    pub async fn list_movements(
        &self,
        sku: &Sku,
        location: Option<&LocationId>,
        before: Option<(DateTime<Utc>, i64)>,
        limit: i64,
    ) -> Result<Vec<StoredMovement>, Error> {
        Ok(store::ledger::list_movements(&self.pool, sku, location, before, limit).await?)
    }

    pub async fn get_stock_as_of(
        &self,
        skus: &[Sku],
        location: &LocationId,
        as_of: DateTime<Utc>,
    ) -> Result<Vec<StockAsOf>, Error> {
        self.get_location(location.clone()).await?;
        Ok(store::ledger::sum_as_of(&self.pool, skus, location, as_of).await?)
    }

    pub async fn list_stock_policies(
        &self,
        sku: Option<&Sku>,
        location: Option<&LocationId>,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<StockPolicy>, Error> {
        Ok(store::policies::list_stock_policies(&self.pool, sku, location, after, limit).await?)
    }

    pub async fn list_ring_fences(
        &self,
        sku: Option<&Sku>,
        location: Option<&LocationId>,
        after: (&str, &str, &str, &str),
        limit: i64,
    ) -> Result<Vec<RingFence>, Error> {
        Ok(store::policies::list_ring_fences(&self.pool, sku, location, after, limit).await?)
    }

    pub async fn list_kits(
        &self,
        kit: Option<&Sku>,
        component: Option<&Sku>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Kit>, Error> {
        Ok(store::kits::list_kits(&self.pool, kit, component, after, limit).await?)
    }

    pub async fn list_tracking(&self, after: &str, limit: i64) -> Result<Vec<Tracking>, Error> {
        Ok(store::lots::list_tracking(&self.pool, after, limit).await?)
    }

    /// Lots, or serial numbers, that are on hand.
    pub async fn list_lots(
        &self,
        sku: &Sku,
        location: Option<&LocationId>,
        serial: bool,
        after: AfterLot<'_>,
        limit: i64,
    ) -> Result<Vec<StoredLot>, Error> {
        Ok(store::lots::list_stored_lots(&self.pool, sku, location, serial, after, limit).await?)
    }

    /// A serial number that ever came, with its last movements.
    pub async fn get_serial(&self, sku: Sku, serial: LotNumber) -> Result<SerialHistory, Error> {
        let Some(found) = store::lots::find_serial(&self.pool, &sku, &serial).await? else {
            return Err(Refusal::SerialNotFound { sku, serial }.into());
        };
        let movements = store::lots::list_movements_of(&self.pool, &sku, &serial, MAX_HISTORY).await?;
        Ok(SerialHistory { serial: found, movements })
    }

    pub async fn list_sku_policies(&self, after: &str, limit: i64) -> Result<Vec<SkuPolicy>, Error> {
        Ok(store::policies::list_sku_policies(&self.pool, after, limit).await?)
    }
}
