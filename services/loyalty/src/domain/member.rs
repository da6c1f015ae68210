use chrono::{DateTime, Utc};
use oneshelf_values::MemberId;

use super::Refusal;

/// Who takes part in the programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: MemberId,
    /// The sum of the entries: below zero when goods came back after their points were counted.
    pub balance: i64,
    /// The sum of the points of all documents that earned.
    pub earned: i64,
    pub version: i64,
    /// `None`: only named by a sale so far. Nobody sees such a member; enrolling adopts its points.
    pub enrolled_at: Option<DateTime<Utc>>,
}

impl Member {
    /// A document's points went from `before` to `after`.
    pub(super) fn recount(&mut self, before: i64, after: i64) -> Result<(), Refusal> {
        let moved = |sum: i64, from: i64, to: i64| sum.checked_add(to.checked_sub(from)?);
        let balance = moved(self.balance, before, after);
        let earned = moved(self.earned, before.max(0), after.max(0));
        let (Some(balance), Some(earned)) = (balance, earned) else {
            return Err(Refusal::PointsOverflow { member_id: self.id.clone() });
        };
        self.balance = balance;
        self.earned = earned;
        self.version += 1;
        Ok(())
    }
}
