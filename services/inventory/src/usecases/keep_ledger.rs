//! The ledger's calendar: partitions made ahead, months closed behind. Any number of processes may do both.

use oneshelf_kit::pg;

use super::{Error, Inventory};
use crate::{
    domain::period::{Month, due},
    store,
};

/// Months that have a partition before they begin.
const MONTHS_AHEAD: usize = 3;

/// Levels that one step of a closing locks: their holds wait for as long as it takes, so it is short.
const STEP: i64 = 500;

impl Inventory {
    /// Makes the partitions of this month and of the next ones, where they are missing.
    pub async fn make_partitions(&self) -> Result<(), Error> {
        let months = std::iter::successors(Some(Month::of(self.clock.now())), |month| Some(month.next()));
        for month in months.take(1 + MONTHS_AHEAD) {
            pg::in_tx(&self.pool, move |conn| {
                Box::pin(async move { store::partitions::make_partition(conn, month).await.map_err(Error::from) })
            })
            .await?;
        }
        Ok(())
    }

    /// Takes one step of closing the earliest month that is due and not closed; `false` when there is nothing to do.
    pub async fn close_months(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let stepped = pg::in_tx(&self.pool, move |conn| {
            Box::pin(async move {
                let Some(period) = store::balances::take_open_period(conn).await? else {
                    return Ok::<_, Error>(false);
                };
                let after = (period.after_sku.as_str(), period.after_location_id.as_str());
                let levels = store::balances::lock_next_levels(conn, after, STEP).await?;
                store::balances::insert_balances(conn, &levels, period.period_end).await?;
                let last = levels.last().map_or(after, |(sku, location)| (sku.as_str(), location.as_str()));
                let closed_at = ((levels.len() as i64) < STEP).then_some(now);
                store::balances::advance_period(conn, period.period_end, last, closed_at).await?;
                Ok(true)
            })
        })
        .await?;
        Ok(stepped || self.begin_next_month(Month::end(due(now))).await?)
    }

    /// Begins the month after the last closed one, or the ledger's first, if it ends by `end`.
    async fn begin_next_month(&self, end: chrono::DateTime<chrono::Utc>) -> Result<bool, Error> {
        let month = match store::balances::last_period_end(&self.pool).await? {
            Some(last) => Some(Month::of(last)),
            None => store::balances::earliest_entry(&self.pool, end).await?.map(Month::of),
        };
        let Some(month) = month.filter(|month| month.end() <= end) else {
            return Ok(false);
        };
        store::balances::begin_period(&self.pool, month.begin(), month.end(), self.clock.now()).await?;
        Ok(true)
    }
}
