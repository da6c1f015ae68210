//! What comes after what, across services. Pure: state and outcome in, next step out.
//!
//! ```text
//! place          HoldCredit? → HoldStock? → Confirm
//!                              └ refused → ReleaseCredit? → Refuse      HoldCredit refused → Refuse
//! ship           CommitHold? → CaptureCredit? → MarkShipped
//! cancel         ReleaseHold? → ReleaseCredit? → MarkCancelled
//! record_ticket  RecordSoldStock? → CompleteTicket
//! return         ReturnStock? → CompleteReturn
//! ```
//!
//! A step with `?` is skipped where there is nothing to do: orders of fees only touch no stock, and only dealers' orders
//! above zero touch credit. The undo of HoldCredit is ReleaseCredit; HoldStock is followed by nothing that can be
//! refused, so it needs none. The last step of each road is local and deletes the process in the same transaction.
//!
//! Each remote step carries a request id that is the process's id (the holds) or derives from it, so a step that was
//! taken and forgotten is taken again without effect. Only an outcome that is certain moves the process: a remote that
//! is away, or does not answer, leaves it where it is. A refusal where the table has no way on is a fault of the
//! deployment (a location that takes no oversold tickets, a hold resolved by hand): the process waits and is parked
//! in sight.

/// What the caller asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    Place,
    Ship,
    Cancel,
    RecordTicket,
    Return,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    HoldCredit,
    HoldStock,
    Confirm,
    ReleaseCredit,
    Refuse,
    CommitHold,
    CaptureCredit,
    MarkShipped,
    ReleaseHold,
    MarkCancelled,
    RecordSoldStock,
    CompleteTicket,
    ReturnStock,
    CompleteReturn,
}

/// Which remotes the process has something to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touches {
    pub stock: bool,
    pub credit: bool,
}

/// What a step came to, for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
}

/// Where that leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Step(Step),
    /// The last step is done.
    Finished,
    /// The road ends before its end: wait, and tell somebody.
    Stuck,
}

/// The first step of a process.
pub fn first(verb: Verb, touches: Touches) -> Step {
    let road: &[Step] = match verb {
        Verb::Place => &[Step::HoldCredit, Step::HoldStock, Step::Confirm],
        Verb::Ship => &[Step::CommitHold, Step::CaptureCredit, Step::MarkShipped],
        Verb::Cancel => &[Step::ReleaseHold, Step::ReleaseCredit, Step::MarkCancelled],
        Verb::RecordTicket => &[Step::RecordSoldStock, Step::CompleteTicket],
        Verb::Return => &[Step::ReturnStock, Step::CompleteReturn],
    };
    *road.iter().find(|step| step.applies(touches)).expect("the last step of each road is local, so it applies")
}

/// What follows `step` after `outcome`.
pub fn next(verb: Verb, step: Step, touches: Touches, outcome: Outcome) -> Next {
    let follower = match (verb, step, outcome) {
        (Verb::Place, Step::HoldCredit, Outcome::Done) => Step::HoldStock,
        (Verb::Place, Step::HoldStock, Outcome::Done) => Step::Confirm,
        (Verb::Place, Step::HoldCredit, Outcome::Refused) | (Verb::Place, Step::ReleaseCredit, Outcome::Done) => {
            Step::Refuse
        }
        (Verb::Ship, Step::CommitHold, Outcome::Done) => Step::CaptureCredit,
        (Verb::Ship, Step::CaptureCredit, Outcome::Done) => Step::MarkShipped,
        (Verb::Place, Step::HoldStock, Outcome::Refused) | (Verb::Cancel, Step::ReleaseHold, Outcome::Done) => {
            Step::ReleaseCredit
        }
        (Verb::Cancel, Step::ReleaseCredit, Outcome::Done) => Step::MarkCancelled,
        (Verb::RecordTicket, Step::RecordSoldStock, Outcome::Done) => Step::CompleteTicket,
        (Verb::Return, Step::ReturnStock, Outcome::Done) => Step::CompleteReturn,
        (
            _,
            Step::Confirm
            | Step::Refuse
            | Step::MarkShipped
            | Step::MarkCancelled
            | Step::CompleteTicket
            | Step::CompleteReturn,
            Outcome::Done,
        ) => {
            return Next::Finished;
        }
        _ => return Next::Stuck,
    };
    if follower.applies(touches) { Next::Step(follower) } else { next(verb, follower, touches, Outcome::Done) }
}

impl Step {
    fn applies(self, touches: Touches) -> bool {
        match self {
            Self::HoldStock | Self::CommitHold | Self::ReleaseHold | Self::RecordSoldStock | Self::ReturnStock => {
                touches.stock
            }
            Self::HoldCredit | Self::CaptureCredit | Self::ReleaseCredit => touches.credit,
            _ => true,
        }
    }
}

/// The stored and told name of each value, and back.
macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal,)+ }) => {
        impl $type {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name)
            }
        }
    };
}
pub(crate) use named;

named!(Verb {
    Place = "place",
    Ship = "ship",
    Cancel = "cancel",
    RecordTicket = "record_ticket",
    Return = "return",
});

named!(Step {
    HoldCredit = "hold_credit",
    HoldStock = "hold_stock",
    Confirm = "confirm",
    ReleaseCredit = "release_credit",
    Refuse = "refuse",
    CommitHold = "commit_hold",
    CaptureCredit = "capture_credit",
    MarkShipped = "mark_shipped",
    ReleaseHold = "release_hold",
    MarkCancelled = "mark_cancelled",
    RecordSoldStock = "record_sold_stock",
    CompleteTicket = "complete_ticket",
    ReturnStock = "return_stock",
    CompleteReturn = "complete_return",
});

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [Touches; 4] = [
        Touches { stock: true, credit: true },
        Touches { stock: true, credit: false },
        Touches { stock: false, credit: true },
        Touches { stock: false, credit: false },
    ];

    /// The steps taken when `refused` is refused and all else is done.
    fn walk(verb: Verb, touches: Touches, refused: Option<Step>) -> (Vec<Step>, Next) {
        let mut taken = vec![first(verb, touches)];
        loop {
            let step = taken[taken.len() - 1];
            let outcome = if refused == Some(step) { Outcome::Refused } else { Outcome::Done };
            match next(verb, step, touches, outcome) {
                Next::Step(step) => taken.push(step),
                end => return (taken, end),
            }
            assert!(taken.len() < 10, "{verb:?} goes in a circle: {taken:?}");
        }
    }

    #[test]
    fn every_road_finishes_where_nobody_refuses() {
        for verb in Verb::ALL {
            for touches in EVERY {
                assert_eq!(walk(*verb, touches, None).1, Next::Finished, "{verb:?} {touches:?}");
            }
        }
    }

    #[test]
    fn a_dealers_order_holds_credit_then_stock() {
        let (steps, _) = walk(Verb::Place, EVERY[0], None);
        assert_eq!(steps, [Step::HoldCredit, Step::HoldStock, Step::Confirm]);
    }

    #[test]
    fn refused_stock_gives_the_credit_back_and_refuses_the_order() {
        let (steps, end) = walk(Verb::Place, EVERY[0], Some(Step::HoldStock));
        assert_eq!(steps, [Step::HoldCredit, Step::HoldStock, Step::ReleaseCredit, Step::Refuse]);
        assert_eq!(end, Next::Finished);
        let (steps, _) = walk(Verb::Place, EVERY[1], Some(Step::HoldStock));
        assert_eq!(steps, [Step::HoldStock, Step::Refuse]);
    }

    #[test]
    fn refused_credit_refuses_the_order_before_any_stock_is_touched() {
        let (steps, end) = walk(Verb::Place, EVERY[0], Some(Step::HoldCredit));
        assert_eq!(steps, [Step::HoldCredit, Step::Refuse]);
        assert_eq!(end, Next::Finished);
    }

    #[test]
    fn a_refusal_without_a_way_on_is_stuck_and_never_silently_finished() {
        for (verb, step) in [
            (Verb::Ship, Step::CommitHold),
            (Verb::Ship, Step::CaptureCredit),
            (Verb::Cancel, Step::ReleaseHold),
            (Verb::RecordTicket, Step::RecordSoldStock),
            (Verb::Return, Step::ReturnStock),
        ] {
            assert_eq!(walk(verb, EVERY[0], Some(step)).1, Next::Stuck, "{verb:?} {step:?}");
        }
    }

    #[test]
    fn orders_of_fees_only_touch_no_stock() {
        for verb in Verb::ALL {
            let (steps, _) = walk(*verb, EVERY[3], None);
            assert_eq!(steps.len(), 1, "{verb:?} has its local step only: {steps:?}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for step in Step::ALL {
            assert_eq!(Step::parse(step.as_str()), Some(*step));
        }
        for verb in Verb::ALL {
            assert_eq!(Verb::parse(verb.as_str()), Some(*verb));
        }
    }
}
