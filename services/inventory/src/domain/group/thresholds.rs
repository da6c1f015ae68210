//! Setting what a channel is told of a SKU.
//!
//! As the policy of a SKU, it is set under the locks of all its levels, and each of them learns that there is something to
//! look at; so a hold of a SKU that nobody is told about reads nothing for it.

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, Sku};

use super::{
    super::{
        availability::Band,
        error::Refusal,
        policy::Audit,
        stock_level::{Level, LevelKey},
        threshold::{Threshold, ThresholdTerms, Thresholds},
    },
    Line, Shelf,
};

/// One threshold as a request sets it.
pub type ThresholdLine = Line<(Sku, ChannelId), ThresholdTerms>;

impl Shelf {
    /// With the thresholds of its SKUs.
    #[must_use]
    pub fn watched_by(self, thresholds: Thresholds) -> Self {
        Self { thresholds, ..self }
    }

    /// All lines or none; answers the thresholds as they are then.
    pub(super) fn set_thresholds(
        &mut self,
        lines: &[ThresholdLine],
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Threshold>, Refusal> {
        for (place, line) in lines.iter().enumerate() {
            let (sku, channel) = &line.key;
            let known = self.thresholds.find(sku, channel);
            if known.is_none() && self.thresholds.locations_of(channel).is_none() {
                return Err(Refusal::ChannelNotFound { channel: channel.clone() });
            }
            line.expect(place, known.map(|threshold| &threshold.audit))?;
        }
        Ok(lines.iter().map(|line| self.set_threshold(line, by, now)).collect())
    }

    fn set_threshold(&mut self, line: &ThresholdLine, by: &str, now: DateTime<Utc>) -> Threshold {
        let (sku, channel) = &line.key;
        let before = self.thresholds.find(sku, channel);
        let levels: Vec<(&LevelKey, &Level)> = self.levels.iter().filter(|(key, _)| key.sku == *sku).collect();
        if let Some(same) = before.filter(|threshold| threshold.terms == line.terms) {
            return self.thresholds.seen(same, &levels, &self.rulebook, now);
        }
        let begins = !line.terms.ended && before.is_none_or(|threshold| threshold.terms.ended);
        let locations = self.thresholds.locations_of(channel);
        let mut threshold = Threshold {
            sku: sku.clone(),
            channel: channel.clone(),
            terms: line.terms,
            locations: match before {
                Some(live) if !begins => live.locations.clone(),
                _ => locations.or(before.map(|ended| &ended.locations)).cloned().unwrap_or_default(),
            },
            total: before.map_or(0, |threshold| threshold.total),
            available: before.map_or(0, |threshold| threshold.available),
            band: before.map_or(Band::Out, |threshold| threshold.band),
            crossings: before.map_or(0, |threshold| threshold.crossings),
            audit: Audit::next(before.map(|threshold| &threshold.audit), by, now),
        };
        if begins {
            self.thresholds.begin(&mut threshold, &levels, &self.rulebook, now);
        }
        let answer = self.thresholds.seen(&threshold, &levels, &self.rulebook, now);
        self.thresholds.put(threshold);
        if self.thresholds.is_live(sku) {
            self.rulebook.watched.insert(sku.clone());
        } else {
            self.rulebook.watched.remove(sku);
        }
        let keys: Vec<LevelKey> = levels.into_iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.rule(&key);
        }
        answer
    }
}
