//! One order against one ladder.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use super::{
    Criterion, Fulfilment, Ladder, Missing, Node, Order, Parcel, Plan, Step, Supply, UNKNOWN_WAY_M, Weights, distance,
};

/// The filter that dropped a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    Inactive,
    Ability,
    Kind,
    Zone,
    Distance,
    ClosedNow,
    LeavesLater,
    Full,
    NothingThere,
    /// It can give so many units alone, and these are its scores by the step's criteria, where somebody wants to know.
    Kept {
        units: i64,
        scores: Vec<i128>,
    },
}

/// How one step judged the candidates, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub step: usize,
    pub candidates: Vec<Judged>,
}

/// Plans an order. `nodes` and `supply` are line by line the candidates; their order does not matter.
pub fn plan(ladder: &Ladder, order: &Order, nodes: &[Node], supply: &Supply, at: DateTime<Utc>) -> Plan {
    Planner::new(ladder, order, nodes, supply, at).run(|_, _| {})
}

/// As [`plan`], with how every step that was tried judged each candidate.
pub fn explain(
    ladder: &Ladder,
    order: &Order,
    nodes: &[Node],
    supply: &Supply,
    at: DateTime<Utc>,
) -> (Plan, Vec<Explained>) {
    let planner = Planner { telling: true, ..Planner::new(ladder, order, nodes, supply, at) };
    let mut explained = Vec::new();
    let plan = planner.run(|step, judged| explained.push(Explained { step, candidates: judged.to_vec() }));
    (plan, explained)
}

/// The candidates that some step would look at, whatever they have and however full they are.
pub fn possible(ladder: &Ladder, order: &Order, nodes: &[Node], at: DateTime<Utc>) -> Vec<usize> {
    let passes = |node: &Node| ladder.steps.iter().any(|step| dropped(step, order, node, at).is_none());
    (0..nodes.len()).filter(|place| passes(&nodes[*place])).collect()
}

/// Whether what a plan takes is there now, beyond what must stay, and its locations have room.
pub fn still_there(
    ladder: &Ladder,
    plan: &Plan,
    available: impl Fn(usize, usize) -> i64,
    room: impl Fn(usize) -> Option<i32>,
) -> bool {
    let least_left = ladder.steps.get(plan.step).map_or(0, |step| step.least_left);
    plan.parcels.iter().all(|parcel| {
        room(parcel.node).is_none_or(|room| room > 0)
            && parcel.takes.iter().all(|(line, units)| available(parcel.node, *line) - least_left >= *units)
    })
}

/// The filters that need no figures.
fn dropped(step: &Step, order: &Order, node: &Node, at: DateTime<Utc>) -> Option<Judged> {
    let able = match order.fulfilment {
        Fulfilment::Ship => node.abilities.ship,
        Fulfilment::Pickup => node.abilities.pickup,
    };
    if !node.active {
        return Some(Judged::Inactive);
    }
    if !able {
        return Some(Judged::Ability);
    }
    if !step.kinds.is_empty() && !step.kinds.contains(&node.kind) {
        return Some(Judged::Kind);
    }
    let listed = step.zones.is_empty() || node.zone.as_ref().is_some_and(|zone| step.zones.contains(zone));
    let same = !step.same_zone || (node.zone.is_some() && node.zone == order.destination.zone);
    if !listed || !same {
        return Some(Judged::Zone);
    }
    let far = |most: u32| distance(node, &order.destination).is_none_or(|way| way > most);
    if step.max_distance_m.is_some_and(far) {
        return Some(Judged::Distance);
    }
    if step.open_now && node.calendar.as_ref().is_some_and(|calendar| !calendar.is_open(at)) {
        return Some(Judged::ClosedNow);
    }
    if step.leaves_today && node.leaving(at) != Some(node.today(at)) {
        return Some(Judged::LeavesLater);
    }
    None
}

struct Planner<'a> {
    ladder: &'a Ladder,
    order: &'a Order,
    nodes: &'a [Node],
    supply: &'a Supply,
    at: DateTime<Utc>,
    /// Places of the candidates, by priority and then id.
    ranked: Vec<usize>,
    ways: Vec<Option<u32>>,
    /// Somebody wants to know the scores.
    telling: bool,
}

/// A parcel in the making: units by line.
type Takes = Vec<i64>;

/// Parcels with what they come to.
#[derive(Debug, Clone)]
struct Attempt {
    parcels: Vec<(usize, Takes)>,
    left: i64,
}

/// What a step has to choose from.
struct Field<'a> {
    step: &'a Step,
    max_parcels: usize,
    /// Candidates that passed, by rank.
    kept: Vec<usize>,
}

impl<'a> Planner<'a> {
    fn new(ladder: &'a Ladder, order: &'a Order, nodes: &'a [Node], supply: &'a Supply, at: DateTime<Utc>) -> Self {
        let mut ranked: Vec<usize> = (0..nodes.len()).collect();
        ranked.sort_by(|a, b| nodes[*a].rank().cmp(&nodes[*b].rank()));
        let ways = nodes.iter().map(|node| distance(node, &order.destination)).collect();
        Self { ladder, order, nodes, supply, at, ranked, ways, telling: false }
    }

    fn run(&self, mut tell: impl FnMut(usize, &[Judged])) -> Plan {
        let mut best: Option<(usize, Attempt)> = None;
        for (place, step) in self.ladder.steps.iter().enumerate() {
            let (field, judged) = self.judge(step);
            tell(place, &judged);
            let Some(attempt) = self.attempt(&field) else { continue };
            let complete = attempt.left == 0;
            // The first step that found most.
            if complete || best.as_ref().is_none_or(|(_, best)| attempt.left < best.left) {
                best = Some((place, attempt));
            }
            if complete {
                break;
            }
        }
        let (step, attempt) = best.unwrap_or((0, Attempt { parcels: Vec::new(), left: 0 }));
        self.finish(step, attempt)
    }

    /// Filters the candidates, and says of each what became of it.
    fn judge(&self, step: &'a Step) -> (Field<'a>, Vec<Judged>) {
        let wanted = self.wanted();
        let judged: Vec<Judged> = (0..self.nodes.len())
            .map(|node| {
                if let Some(dropped) = dropped(step, self.order, &self.nodes[node], self.at) {
                    return dropped;
                }
                if self.supply.room[node].is_some_and(|room| room <= 0) {
                    return Judged::Full;
                }
                let takes = self.can_give(step, node, &wanted);
                let units: i64 = takes.iter().sum();
                if units == 0 {
                    return Judged::NothingThere;
                }
                let criteria = if self.telling { step.order_by.as_slice() } else { &[] };
                let scores = criteria.iter().map(|criterion| self.value(*criterion, node, &takes)).collect();
                Judged::Kept { units, scores }
            })
            .collect();
        let kept = self.ranked.iter().copied().filter(|node| matches!(judged[*node], Judged::Kept { .. })).collect();
        let max_parcels = match self.order.fulfilment {
            Fulfilment::Pickup => 1,
            Fulfilment::Ship => step.max_parcels,
        };
        (Field { step, max_parcels, kept }, judged)
    }

    fn wanted(&self) -> Takes {
        self.order.lines.iter().map(|line| line.units).collect()
    }

    fn units(&self, node: usize, line: usize) -> i64 {
        self.supply.units[node * self.order.lines.len() + line]
    }

    /// What a location can give of what is still wanted.
    fn can_give(&self, step: &Step, node: usize, wanted: &[i64]) -> Takes {
        wanted
            .iter()
            .enumerate()
            .map(|(line, wanted)| (*wanted).min((self.units(node, line) - step.least_left).max(0)))
            .collect()
    }

    /// The best that a step can do; `None` where nobody has anything.
    fn attempt(&self, field: &Field<'_>) -> Option<Attempt> {
        let wanted = self.wanted();
        let mut attempts: Vec<Attempt> = field
            .kept
            .iter()
            .map(|node| {
                let takes = self.can_give(field.step, *node, &wanted);
                let left = left_of(&wanted, &takes);
                Attempt { parcels: vec![(*node, takes)], left }
            })
            .collect();
        // Where fewest parcels come first, no split is better than one location that has everything.
        let single = field.step.order_by.first() == Some(&Criterion::Parcels)
            && attempts.iter().any(|attempt| attempt.left == 0);
        if field.max_parcels > 1 && field.kept.len() > 1 && !single {
            for most_first in [true, false] {
                if let Some(greedy) = self.greedy(field, most_first) {
                    attempts.push(self.pruned(field, greedy.clone()));
                    attempts.push(greedy);
                }
            }
        }
        attempts.into_iter().min_by(|a, b| a.left.cmp(&b.left).then_with(|| self.compare(field.step, a, b)))
    }

    /// Adds the next best location until nothing is wanted or no parcel is allowed.
    fn greedy(&self, field: &Field<'_>, most_first: bool) -> Option<Attempt> {
        let mut wanted = self.wanted();
        let mut free = field.kept.clone();
        let mut parcels = Vec::new();
        while parcels.len() < field.max_parcels {
            let mut best: Option<(usize, Takes, i64)> = None;
            for (place, node) in free.iter().enumerate() {
                let takes = self.can_give(field.step, *node, &wanted);
                let units: i64 = takes.iter().sum();
                // Too small for a parcel of a split order; alone it may be as small as it likes, and is tried elsewhere.
                if units == 0 || self.worth(&takes) < i128::from(field.step.least_parcel_value) {
                    continue;
                }
                let better = best.as_ref().is_none_or(|(other, others, most)| {
                    let by_units = if most_first { most.cmp(&units) } else { Ordering::Equal };
                    let by_order = || self.compare_nodes(field.step, (*node, &takes), (free[*other], others));
                    by_units.then_with(by_order) == Ordering::Less
                });
                if better {
                    best = Some((place, takes, units));
                }
            }
            let Some((place, takes, _)) = best else { break };
            for (wanted, taken) in wanted.iter_mut().zip(&takes) {
                *wanted -= taken;
            }
            parcels.push((free.remove(place), takes));
            if wanted.iter().all(|wanted| *wanted == 0) {
                break;
            }
        }
        (!parcels.is_empty()).then(|| Attempt { parcels, left: wanted.iter().sum() })
    }

    /// Drops each parcel, the last first, whose units the others have as well.
    fn pruned(&self, field: &Field<'_>, mut attempt: Attempt) -> Attempt {
        for place in (0..attempt.parcels.len()).rev() {
            if attempt.parcels.len() == 1 {
                break;
            }
            let mut rest = attempt.parcels.clone();
            let (_, mut homeless) = rest.remove(place);
            for (node, takes) in &mut rest {
                for (line, homeless) in homeless.iter_mut().enumerate() {
                    let spare = (self.units(*node, line) - field.step.least_left - takes[line]).max(0);
                    let moved = spare.min(*homeless);
                    takes[line] += moved;
                    *homeless -= moved;
                }
            }
            if homeless.iter().all(|units| *units == 0) {
                attempt.parcels = rest;
            }
        }
        attempt
    }

    fn worth(&self, takes: &[i64]) -> i128 {
        self.order.lines.iter().zip(takes).map(|(line, units)| i128::from(line.unit_value) * i128::from(*units)).sum()
    }

    /// What a parcel comes to by one criterion.
    fn value(&self, criterion: Criterion, node: usize, takes: &[i64]) -> i128 {
        let units = || i128::from(takes.iter().sum::<i64>());
        let costs = self.nodes[node].costs;
        match criterion {
            Criterion::Parcels => 1,
            Criterion::Cost => {
                let Weights { handling, transport, markdown, parcel_penalty } = self.ladder.weights;
                let km = i128::from(self.ways[node].unwrap_or(UNKNOWN_WAY_M).div_ceil(1_000));
                // A location whose way costs nothing is not dear because its way is not known.
                i128::from(handling) * (i128::from(costs.parcel) + units() * i128::from(costs.unit))
                    + i128::from(transport) * km * i128::from(costs.km)
                    - i128::from(markdown) * units() * i128::from(costs.markdown)
                    + 100 * i128::from(parcel_penalty)
            }
            Criterion::Distance => i128::from(self.ways[node].unwrap_or(UNKNOWN_WAY_M)),
            Criterion::StockBalance => takes
                .iter()
                .enumerate()
                .filter(|(_, units)| **units > 0)
                .map(|(line, units)| i128::from(*units) * 1_000_000 / i128::from(self.units(node, line).max(1)))
                .sum(),
            Criterion::Markdown => -(units() * i128::from(costs.markdown)),
            Criterion::Priority => self.nodes[node].priority.into(),
        }
    }

    /// Which location is better to take next. What grows with the units is compared per unit.
    fn compare_nodes(&self, step: &Step, a: (usize, &Takes), b: (usize, &Takes)) -> Ordering {
        let units = |takes: &Takes| i128::from(takes.iter().sum::<i64>());
        for criterion in &step.order_by {
            let (left, right) = (self.value(*criterion, a.0, a.1), self.value(*criterion, b.0, b.1));
            let ordering = match criterion {
                Criterion::Cost | Criterion::StockBalance | Criterion::Markdown => {
                    left.saturating_mul(units(b.1)).cmp(&right.saturating_mul(units(a.1)))
                }
                // Fewest parcels: whoever covers most.
                Criterion::Parcels => units(b.1).cmp(&units(a.1)),
                Criterion::Distance | Criterion::Priority => left.cmp(&right),
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        self.nodes[a.0].rank().cmp(&self.nodes[b.0].rank())
    }

    /// Which of two plans for the same units is better.
    fn compare(&self, step: &Step, a: &Attempt, b: &Attempt) -> Ordering {
        let total = |attempt: &Attempt, criterion| -> i128 {
            attempt.parcels.iter().map(|(node, takes)| self.value(criterion, *node, takes)).sum()
        };
        for criterion in &step.order_by {
            let ordering = total(a, *criterion).cmp(&total(b, *criterion));
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        let ranks = |attempt: &Attempt| {
            let mut ranks: Vec<_> =
                attempt.parcels.iter().map(|(node, takes)| (self.nodes[*node].rank(), takes.clone())).collect();
            ranks.sort();
            ranks
        };
        a.parcels.len().cmp(&b.parcels.len()).then_with(|| {
            let (left, right) = (ranks(a), ranks(b));
            left.cmp(&right)
        })
    }

    fn finish(&self, step: usize, attempt: Attempt) -> Plan {
        let mut found = vec![0; self.order.lines.len()];
        let mut parcels: Vec<Parcel> = attempt
            .parcels
            .into_iter()
            .map(|(node, takes)| {
                for (found, taken) in found.iter_mut().zip(&takes) {
                    *found += taken;
                }
                let takes = takes.into_iter().enumerate().filter(|(_, units)| *units > 0).collect();
                Parcel { node, takes }
            })
            .collect();
        parcels.sort_by(|a, b| self.nodes[a.node].rank().cmp(&self.nodes[b.node].rank()));
        let missing = self
            .order
            .lines
            .iter()
            .zip(found)
            .enumerate()
            .filter(|(_, (line, found))| line.units > *found)
            .map(|(place, (line, found))| (place, line.units - found, self.why(place, line.units)))
            .collect();
        Plan { step, parcels, missing }
    }

    /// Why not all units of a line were found.
    fn why(&self, line: usize, wanted: i64) -> Missing {
        let everywhere: i64 = (0..self.nodes.len()).map(|node| self.units(node, line).max(0)).sum();
        if everywhere < wanted {
            return Missing::OutOfStock;
        }
        let passed = |step: &Step| -> i64 {
            (0..self.nodes.len())
                .filter(|node| dropped(step, self.order, &self.nodes[*node], self.at).is_none())
                .filter(|node| self.supply.room[*node].is_none_or(|room| room > 0))
                .map(|node| (self.units(node, line) - step.least_left).max(0))
                .sum()
        };
        let enough = self.ladder.steps.iter().any(|step| passed(step) >= wanted);
        if enough { Missing::SplitLimits } else { Missing::Filtered }
    }
}

fn left_of(wanted: &[i64], takes: &[i64]) -> i64 {
    wanted.iter().zip(takes).map(|(wanted, taken)| wanted - taken).sum()
}
