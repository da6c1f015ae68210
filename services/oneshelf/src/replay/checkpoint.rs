//! What an interrupted run has finished, month by month.
//!
//! Every request is idempotent, so beginning again is always right; the checkpoint only saves the time. It belongs to
//! one data set and one installation: where the run's first order is not to be found, the database is another one and
//! the checkpoint counts for nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{
    dataset::{DocNo, Month},
    tally::Tally,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub fingerprint: u64,
    pub target: String,
    pub twice: bool,
    /// The last finished month.
    pub done: Option<Month>,
    /// An order of the run, which must exist for the checkpoint to count.
    pub witness: Option<String>,
    /// What the finished months reached.
    pub tally: Tally,
    /// Under which order each ticket is kept.
    pub tickets: BTreeMap<DocNo, String>,
}

impl Checkpoint {
    pub fn new(fingerprint: u64, target: &str, twice: bool) -> Self {
        Self {
            fingerprint,
            target: target.to_owned(),
            twice,
            done: None,
            witness: None,
            tally: Tally::default(),
            tickets: BTreeMap::new(),
        }
    }

    /// Where it is kept unless told otherwise.
    pub fn default_file(fingerprint: u64) -> PathBuf {
        Path::new(".local").join(format!("replay-{fingerprint:016x}.json"))
    }

    /// The stored one, if it is of the same run; an unreadable one counts for nothing.
    pub fn load(&self, file: &Path) -> Option<Self> {
        let stored: Self = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let same = |of: &Self| (of.fingerprint, of.target.clone(), of.twice);
        (same(&stored) == same(self) && stored.done.is_some() && stored.witness.is_some()).then_some(stored)
    }

    /// Replaces the stored one whole, so that a kill in between leaves the one before.
    pub fn save(&self, file: &Path) -> anyhow::Result<()> {
        let write = || {
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            let new = file.with_extension("new");
            fs::write(&new, serde_json::to_vec(self)?)?;
            fs::rename(&new, file)
        };
        write().with_context(|| format!("cannot write {}", file.display()))
    }

    pub fn remove(file: &Path) {
        // It may never have been written; and a stale one is recognised when it is read.
        let _ = fs::remove_file(file);
    }
}
