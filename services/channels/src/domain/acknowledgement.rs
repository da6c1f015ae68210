//! Which acknowledged versions change something.
//!
//! The largest version per SKU counts; an older one than is known changes nothing; one that was never sent is refused,
//! and with it the whole call, because its sender confuses channels or databases.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use oneshelf_values::Sku;

use super::Refusal;

pub const MAX_VERSIONS: usize = 1_000;

/// A listing as far as acknowledgements go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub version: i64,
    pub acknowledged_version: i64,
    pub source_at: DateTime<Utc>,
}

/// A SKU that moves forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    pub sku: Sku,
    pub version: i64,
    /// From commit at the source to this acknowledgement; none when a newer version is out already, whose delay
    /// this is not.
    pub delay: Option<Duration>,
}

/// Decides an acknowledgement against the listings that it names.
pub fn acknowledge(
    versions: &BTreeMap<Sku, i64>,
    shown: &BTreeMap<Sku, Shown>,
    now: DateTime<Utc>,
) -> Result<Vec<Advance>, Refusal> {
    let mut advances = Vec::new();
    for (sku, &version) in versions {
        let known = shown.get(sku);
        let sent = known.map_or(0, |known| known.version);
        if version > sent {
            return Err(Refusal::VersionAhead { sku: sku.clone(), sent, acknowledged: version });
        }
        if let Some(known) = known
            && version > known.acknowledged_version
        {
            // A source's clock may be ahead of ours.
            let delay = (now - known.source_at).to_std().unwrap_or_default();
            advances.push(Advance { sku: sku.clone(), version, delay: (version == known.version).then_some(delay) });
        }
    }
    Ok(advances)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn one(version: i64, acknowledged_version: i64) -> BTreeMap<Sku, Shown> {
        BTreeMap::from([("A".parse().unwrap(), Shown { version, acknowledged_version, source_at: at(100) })])
    }

    fn says(version: i64) -> BTreeMap<Sku, i64> {
        BTreeMap::from([("A".parse().unwrap(), version)])
    }

    #[test]
    fn the_newest_version_advances_with_its_delay_and_an_overtaken_one_without() {
        let newest = acknowledge(&says(4), &one(4, 1), at(103)).unwrap();
        assert_eq!(newest[0].delay, Some(Duration::from_secs(3)));
        let overtaken = acknowledge(&says(3), &one(4, 1), at(103)).unwrap();
        assert_eq!(overtaken[0].delay, None);
        let ahead_of_us = acknowledge(&says(4), &one(4, 1), at(99)).unwrap();
        assert_eq!(ahead_of_us[0].delay, Some(Duration::ZERO));
    }

    #[test]
    fn a_version_or_sku_that_was_never_sent_is_refused() {
        let refusal = |sent| Refusal::VersionAhead { sku: "A".parse().unwrap(), sent, acknowledged: 5 };
        assert_eq!(acknowledge(&says(5), &one(4, 1), at(0)), Err(refusal(4)));
        assert_eq!(acknowledge(&says(5), &BTreeMap::new(), at(0)), Err(refusal(0)));
    }

    proptest! {
        #[test]
        fn acknowledged_versions_only_rise_and_never_pass_what_was_sent(
            version in 1..50_i64, acknowledged in 0..50_i64, said in 1..60_i64,
        ) {
            let acknowledged = acknowledged.min(version);
            match acknowledge(&says(said), &one(version, acknowledged), at(0)) {
                Ok(advances) => {
                    prop_assert!(said <= version);
                    prop_assert_eq!(advances.len(), usize::from(said > acknowledged));
                }
                Err(_) => prop_assert!(said > version),
            }
        }
    }
}
