//! What a group of commands looks at before it locks, where there are network holds in it.
//!
//! A network hold could lock the level of its SKU at every location of its channel. Fifty row locks for one unit cost more
//! than everything else that the hold does, so it is planned ahead: on the levels as they are seen without locks, by the
//! same function, and only what the plan takes is locked. Under the locks the plan is taken if all of it is there, which the
//! domain checks by the same figures as for any hold. All candidates are locked, and the plan is made under the locks,
//!
//! - where the plan ahead does not find everything: so nothing is refused but on locked rows;
//! - where one of the levels may have rules, which the look ahead does not read;
//! - where what was planned ahead had gone: the hold is told so and comes again ([`SourceRequest::wide`]).
//!
//! [`SourceRequest::wide`]: crate::domain::sourcing::SourceRequest
//!
//! | round trip | when |
//! |---|---|
//! | channels with their rules, locations, costs (3) | the group has a network hold |
//! | a look at its SKUs | likewise |
//! | a look at the days of its candidates | one of them has a capacity |
//! | locations and costs (2) | a network hold moves |
//! | make and lock days (2) | places of days are taken or given back |

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use oneshelf_values::{ChannelId, HoldId, LocationId, Sku};
use sqlx::PgConnection;

use super::{Error, execute::Job};
use crate::{
    domain::{
        Refusal,
        group::{Command, HoldStock},
        hold::StockHold,
        location::Location,
        sourcing::{self, Board, Boards, Ladder, MAX_NODES, MAX_PAIRS, Node, NodeDay, Order, SourceRequest, Supply},
        stock_level::LevelKey,
    },
    store::{self, sourcing::Glimpse},
};

/// What a group has to lock for its network holds, and what they are planned by.
#[derive(Default)]
pub(super) struct Prepared {
    /// `None`: the group has neither network holds nor moves of them.
    pub boards: Option<Arc<Boards>>,
    pub keys: BTreeSet<LevelKey>,
    pub days: BTreeSet<NodeDay>,
}

/// Looks at what the network holds of a group may be sourced from; `known` are the holds that it has locked.
pub(super) async fn prepare(
    conn: &mut PgConnection,
    jobs: &[Job],
    known: &HashMap<HoldId, StockHold>,
    now: DateTime<Utc>,
) -> Result<Prepared, Error> {
    let wanted: Vec<(&HoldStock, &SourceRequest)> = jobs
        .iter()
        .filter_map(|job| match job.command() {
            Command::Hold(hold) if !known.contains_key(&hold.hold_id) => Some((hold, hold.sourcing.as_deref()?)),
            _ => None,
        })
        .collect();
    let mut prepared = Prepared::default();
    let sourced = known.values().filter_map(|hold| Some((hold.hold_id, hold.sourced.as_deref()?)));
    let sourced: HashMap<HoldId, _> = sourced.collect();
    prepared.days.extend(sourced.values().flat_map(|sourced| sourced.days.iter().cloned()));
    let targets: BTreeSet<&LocationId> = jobs
        .iter()
        .filter_map(|job| match job.command() {
            Command::MoveHold(command) => Some(command),
            _ => None,
        })
        .flat_map(|command| command.moves.iter().map(|(_, to, _)| to))
        .collect();
    if wanted.is_empty() && (targets.is_empty() || sourced.is_empty()) {
        return Ok(prepared);
    }
    let mut boards = Boards::default();
    if !targets.is_empty() {
        let targets: Vec<&str> = targets.into_iter().map(LocationId::as_str).collect();
        for node in nodes(conn, &targets).await? {
            prepared.days.extend(node.capacity.map(|_| (node.location.clone(), node.day(now))));
            boards.targets.insert(node.location.clone(), node);
        }
    }
    if !wanted.is_empty() {
        boards.channels = load_boards(conn, wanted.iter().filter_map(|(hold, _)| hold.channel.as_ref())).await?;
        propose(conn, jobs, &wanted, &mut boards, &mut prepared, now).await?;
    }
    prepared.boards = Some(Arc::new(boards));
    Ok(prepared)
}

/// Plans the holds in their turn, each on what those before it leave; says what is to be locked.
async fn propose(
    conn: &mut PgConnection,
    jobs: &[Job],
    wanted: &[(&HoldStock, &SourceRequest)],
    boards: &mut Boards,
    prepared: &mut Prepared,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let skus: BTreeSet<&str> =
        wanted.iter().flat_map(|(_, request)| request.order.lines.iter().map(|line| line.sku.as_str())).collect();
    let skus: Vec<&str> = skus.into_iter().collect();
    let glimpses = store::sourcing::glimpse_levels(conn, &skus).await?;
    let days: BTreeSet<NodeDay> = boards
        .channels
        .values()
        .flat_map(|board| &board.nodes)
        .filter(|node| node.capacity.is_some())
        .map(|node| (node.location.clone(), node.day(now)))
        .collect();
    let days: Vec<NodeDay> = days.into_iter().collect();
    let mut taken = HashMap::new();
    if !days.is_empty() {
        taken = store::sourcing::find_node_days(conn, &days).await?;
    }
    let mut ahead = Ahead { glimpses, spoken_for: HashMap::new(), taken };
    for job in jobs {
        if let Command::Hold(hold) = job.command() {
            for (key, units) in &hold.lines {
                *ahead.spoken_for.entry(key.clone()).or_default() += units;
            }
        }
    }
    let channels = std::mem::take(&mut boards.channels);
    let places: HashMap<&ChannelId, HashMap<&str, usize>> = channels
        .iter()
        .map(|(channel, board)| (channel, board.nodes.iter().map(|node| node.location.as_str()).zip(0..).collect()))
        .collect();
    for (hold, request) in wanted {
        let Some(channel) = &hold.channel else { continue };
        let Some((board, places)) = channels.get(channel).zip(places.get(channel)) else {
            boards.refused.insert(hold.hold_id, Refusal::ChannelNotFound { channel: channel.clone() });
            continue;
        };
        let (order, ladder) = (&request.order, &board.rules.ladder);
        let plan = (!request.wide).then(|| ahead.plan(ladder, order, &board.nodes, places, now)).flatten();
        let candidates = match plan {
            Some(_) => Vec::new(),
            None => sourcing::possible(ladder, order, &board.nodes, now),
        };
        let most = MAX_PAIRS / candidates.len().max(1);
        if order.lines.len() > most {
            boards.refused.insert(hold.hold_id, Refusal::TooLarge { limit: most as i64 });
            continue;
        }
        let looked_at: Vec<(usize, Vec<usize>)> = match &plan {
            Some(plan) => {
                let parcels = plan.parcels.iter();
                parcels.map(|parcel| (parcel.node, parcel.takes.iter().map(|(line, _)| *line).collect())).collect()
            }
            None => candidates.into_iter().map(|node| (node, (0..order.lines.len()).collect())).collect(),
        };
        for (node, lines) in looked_at {
            let node = &board.nodes[node];
            prepared.days.extend(node.capacity.map(|_| (node.location.clone(), node.day(now))));
            prepared.keys.extend(
                lines
                    .into_iter()
                    .map(|line| LevelKey { sku: order.lines[line].sku.clone(), location: node.location.clone() }),
            );
        }
        boards.proposals.extend(plan.map(|plan| (hold.hold_id, plan)));
    }
    drop(places);
    boards.channels = channels;
    Ok(())
}

/// The shelf as it is seen without locks, less what the holds of the group ask for.
struct Ahead {
    glimpses: HashMap<Sku, Glimpse>,
    spoken_for: HashMap<LevelKey, i64>,
    taken: HashMap<NodeDay, i32>,
}

impl Ahead {
    /// A plan that finds everything, on levels without rules; it takes what it plans.
    fn plan(
        &mut self,
        ladder: &Ladder,
        order: &Order,
        nodes: &[Node],
        places: &HashMap<&str, usize>,
        now: DateTime<Utc>,
    ) -> Option<sourcing::Plan> {
        let lines = order.lines.len();
        if nodes.len() * lines > MAX_PAIRS {
            return None;
        }
        let mut units = vec![0; nodes.len() * lines];
        for (line, asked) in order.lines.iter().enumerate() {
            for (location, free, ruled) in self.glimpses.get(&asked.sku).into_iter().flat_map(|seen| &seen.levels) {
                let Some(node) = places.get(location.as_str()) else { continue };
                if *ruled {
                    return None;
                }
                units[node * lines + line] = *free;
            }
        }
        // Only what somebody spoke for is looked up by its key.
        if !self.spoken_for.is_empty() {
            for (place, units) in units.iter_mut().enumerate().filter(|(_, units)| **units > 0) {
                let key = key(order, nodes, place / lines, place % lines);
                *units -= self.spoken_for.get(&key).copied().unwrap_or(0);
            }
        }
        let room = |node: &Node| {
            let day = (node.location.clone(), node.day(now));
            Some(node.capacity? - self.taken.get(&day).copied().unwrap_or(0))
        };
        let supply = Supply { units, room: nodes.iter().map(room).collect() };
        let plan = sourcing::plan(ladder, order, nodes, &supply, now);
        if !plan.is_complete() {
            return None;
        }
        for parcel in &plan.parcels {
            let node = &nodes[parcel.node];
            if node.capacity.is_some() {
                *self.taken.entry((node.location.clone(), node.day(now))).or_default() += 1;
            }
            for (line, units) in &parcel.takes {
                *self.spoken_for.entry(key(order, nodes, parcel.node, *line)).or_default() += units;
            }
        }
        Some(plan)
    }
}

fn key(order: &Order, nodes: &[Node], node: usize, line: usize) -> LevelKey {
    LevelKey { sku: order.lines[line].sku.clone(), location: nodes[node].location.clone() }
}

/// What these channels are sourced from, and by which rules; unknown ones are missing.
pub(super) async fn load_boards(
    conn: &mut PgConnection,
    channels: impl Iterator<Item = &ChannelId>,
) -> Result<HashMap<ChannelId, Board>, Error> {
    let channels: BTreeSet<&str> = channels.map(ChannelId::as_str).collect();
    let channels: Vec<&str> = channels.into_iter().collect();
    let known = store::sourcing::find_channels(conn, &channels).await?;
    let locations: BTreeSet<&str> =
        known.iter().flat_map(|(_, locations, _)| locations.iter().map(String::as_str)).collect();
    let all = nodes(conn, &locations.into_iter().collect::<Vec<_>>()).await?;
    Ok(known
        .into_iter()
        .map(|(channel, locations, rules)| {
            let locations: BTreeSet<String> = locations.into_iter().collect();
            let mut nodes: Vec<Node> =
                all.iter().filter(|node| locations.contains(node.location.as_str())).cloned().collect();
            nodes.truncate(MAX_NODES);
            (channel, Board { rules, nodes })
        })
        .collect())
}

/// Locations with their costs, by priority and id.
async fn nodes(conn: &mut PgConnection, location_ids: &[&str]) -> Result<Vec<Node>, Error> {
    if location_ids.is_empty() {
        return Ok(Vec::new());
    }
    let locations = store::locations::find_locations(conn, location_ids).await?;
    let costs = store::sourcing::find_costs(conn, location_ids).await?;
    let node = |location: Location| {
        let costs = costs.get(location.location_id.as_str()).map(store::sourcing::StoredCosts::costs);
        Node::new(location, costs.unwrap_or_default())
    };
    let mut nodes: Vec<Node> = locations.into_iter().map(node).collect();
    nodes.sort_by(|a, b| (a.priority, &a.location).cmp(&(b.priority, &b.location)));
    Ok(nodes)
}
