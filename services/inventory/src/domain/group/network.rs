//! Lines of a hold that name no location: planned on what is locked, and taken in the same step.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use oneshelf_values::Sku;

use super::{
    super::{
        availability,
        error::{Refusal, UnsourcedLine},
        hold::StockHold,
        policy::Asker,
        sourcing::{self, Board, Node, NodeDay, Plan, SourceRequest, Sourced, Supply},
        stock_level::LevelKey,
    },
    HoldStock, Shelf, rules_of,
};

/// Lines with their locations, the named ones first, and how the others came to theirs.
pub(super) struct Network {
    pub lines: Vec<(LevelKey, i64)>,
    pub sourced: Sourced,
}

impl Shelf {
    /// Says where the lines of a network hold are taken, by the levels as they are in this group. Nothing changes yet.
    ///
    /// A plan that was made ahead of the locks is taken as it is if all that it takes is there; a hold without one is
    /// planned here, on all its candidates.
    pub(super) fn source(
        &self,
        command: &HoldStock,
        request: &SourceRequest,
        now: DateTime<Utc>,
    ) -> Result<Network, Refusal> {
        let hold_id = command.hold_id;
        let boards = self.boards.as_deref().ok_or(Refusal::PlanOvertaken { hold_id })?;
        if let Some(refusal) = boards.refused.get(&hold_id) {
            return Err(refusal.clone());
        }
        let known = command.channel.as_ref().and_then(|channel| boards.channels.get(channel));
        let board = known.ok_or(Refusal::PlanOvertaken { hold_id })?;
        let Board { rules, nodes } = board;
        let order = &request.order;
        let mut named: HashMap<&LevelKey, i64> = HashMap::new();
        for (key, units) in &command.lines {
            *named.entry(key).or_default() += units;
        }
        let asker = Asker { channel: command.channel.as_ref(), partner: command.partner.as_ref() };
        let available = |node: usize, line: usize| {
            let key = LevelKey { sku: order.lines[line].sku.clone(), location: nodes[node].location.clone() };
            let there = self
                .levels
                .get(&key)
                .map_or(0, |level| availability::available(level, rules_of(&self.rulebook, &key, level), asker, now));
            there - named.get(&key).copied().unwrap_or(0)
        };
        let room = |node: usize| self.room(&nodes[node], now);
        let plan = match boards.proposals.get(&hold_id) {
            Some(plan) if sourcing::still_there(&rules.ladder, plan, available, room) => plan.clone(),
            Some(_) => return Err(Refusal::PlanOvertaken { hold_id }),
            None => {
                let lines = order.lines.len();
                let units = (0..nodes.len()).flat_map(|node| (0..lines).map(move |line| (node, line)));
                let supply = Supply {
                    units: units.map(|(node, line)| available(node, line)).collect(),
                    room: (0..nodes.len()).map(room).collect(),
                };
                sourcing::plan(&rules.ladder, order, nodes, &supply, now)
            }
        };
        let nothing = plan.parcels.is_empty() && command.lines.is_empty();
        if nothing || (!plan.is_complete() && !command.allow_partial) {
            return Err(cannot_source(&plan, request));
        }
        let mut lines = command.lines.clone();
        for (place, asked) in order.lines.iter().enumerate() {
            let takes = plan.parcels.iter().flat_map(|parcel| parcel.takes.iter().map(|take| (parcel.node, take)));
            lines.extend(takes.filter(|(_, (line, _))| *line == place).map(|(node, (_, units))| {
                (LevelKey { sku: asked.sku.clone(), location: nodes[node].location.clone() }, *units)
            }));
        }
        let mut missing = vec![None; order.lines.len()];
        for (line, units, why) in &plan.missing {
            missing[*line] = Some((*units, *why));
        }
        let mut days: Vec<NodeDay> = plan
            .parcels
            .iter()
            .map(|parcel| &nodes[parcel.node])
            .filter(|node| node.capacity.is_some())
            .map(|node| (node.location.clone(), node.day(now)))
            .collect();
        days.sort();
        let step = rules.ladder.steps.get(plan.step).map_or_else(String::new, |step| step.name.clone());
        let sourced = Sourced { order: order.clone(), missing, rules_version: rules.version, step, days };
        Ok(Network { lines, sourced })
    }

    /// Orders that a location's day still has room for. A bounded location whose day is not locked has none.
    fn room(&self, node: &Node, now: DateTime<Utc>) -> Option<i32> {
        let capacity = node.capacity?;
        let taken = self.days.get(&(node.location.clone(), node.day(now)));
        Some(taken.map_or(0, |taken| capacity - taken))
    }

    /// Takes the places of a granted hold.
    pub(super) fn take_days(&mut self, command: &HoldStock, days: &[NodeDay]) {
        for day in days {
            let board = self.boards.as_deref().zip(command.channel.as_ref());
            let nodes = board.and_then(|(boards, channel)| boards.channels.get(channel)).map(|board| &board.nodes);
            let capacity = nodes
                .and_then(|nodes| nodes.iter().find(|node| node.location == day.0))
                .and_then(|node| node.capacity)
                .unwrap_or_default();
            self.take_day(day.clone(), capacity);
        }
    }

    /// Takes one place of a location's day, whose capacity was checked.
    pub(super) fn take_day(&mut self, day: NodeDay, capacity: i32) {
        *self.days.entry(day.clone()).or_default() += 1;
        self.changed_days.insert(day, Some(capacity));
    }

    pub(super) fn give_day_back(&mut self, day: &NodeDay) {
        if let Some(taken) = self.days.get_mut(day) {
            *taken -= 1;
            self.changed_days.entry(day.clone()).or_insert(None);
        }
    }

    /// Gives back the places of a resolved hold where nothing was taken for good.
    pub(super) fn settle_days(&mut self, hold: &StockHold, committed: &[i64]) {
        let Some(sourced) = &hold.sourced else { return };
        for day in &sourced.days {
            let worked = hold.lines.iter().zip(committed).any(|(line, taken)| *taken > 0 && line.key.location == day.0);
            if !worked {
                self.give_day_back(day);
            }
        }
    }

    /// The levels that a hold may look at: those that it names and those that it may be sourced from.
    pub(super) fn looked_at<'a>(&'a self, command: &'a HoldStock) -> Vec<LevelKey> {
        let named = command.lines.iter().map(|(key, _)| key.clone());
        let Some(request) = &command.sourcing else { return named.collect() };
        let skus: Vec<&Sku> = request.order.lines.iter().map(|line| &line.sku).collect();
        named.chain(self.levels.keys().filter(|key| skus.contains(&&key.sku)).cloned()).collect()
    }
}

fn cannot_source(plan: &Plan, request: &SourceRequest) -> Refusal {
    let lines = &request.order.lines;
    let unsourced = plan.missing.iter().map(|(line, units, why)| UnsourcedLine {
        sku: lines[*line].sku.clone(),
        requested: lines[*line].units,
        unsourced: *units,
        why: *why,
    });
    Refusal::CannotSource { lines: unsourced.collect() }
}
