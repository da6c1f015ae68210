//! What may be done when: the year as a list of tasks in order of arrival, of which many are in flight at once.
//!
//! The goods-in plan is tight, so order matters exactly where stock is concerned: a task that takes stock waits until
//! every earlier task that gives stock to the same (SKU, place) is done. Tasks that only take may overtake each other:
//! whatever has been taken at some moment belongs to tasks up to some last one, all gifts before that one are booked,
//! and in order of arrival the shelf was never below zero there. A return also waits for the documents it takes back.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
};

use super::{
    classify::Place,
    dataset::{DocNo, Document, Month, SkuNo},
    requests::Year,
};

/// Number of a task, in order of arrival.
pub type TaskNo = usize;

/// Lines of one goods-in booking; inventory takes no more.
const RECEIPT_LINES: usize = 1_000;
/// How far ahead of the oldest unfinished task others may begin.
const WINDOW: usize = 2_048;

#[derive(Debug)]
pub struct Task {
    pub month: Month,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Receive { place: Place, lines: Vec<(SkuNo, i64)> },
    Document(DocNo),
}

/// The tasks of the months after `done`: each month's goods-in before its documents.
pub fn tasks(year: &Year, done: Option<Month>) -> Vec<Task> {
    let mut receipts: BTreeMap<Month, BTreeMap<Place, Vec<(SkuNo, i64)>>> = BTreeMap::new();
    for ((month, place, sku), units) in &year.receipts {
        receipts.entry(*month).or_default().entry(*place).or_default().push((*sku, *units));
    }
    let mut tasks = Vec::new();
    let mut receive = |tasks: &mut Vec<Task>, up_to: Month| {
        while let Some(first) = receipts.first_entry().filter(|first| *first.key() <= up_to) {
            let (month, places) = first.remove_entry();
            for (place, lines) in places {
                let parts = lines.chunks(RECEIPT_LINES);
                tasks.extend(parts.map(|part| Task { month, work: Work::Receive { place, lines: part.to_vec() } }));
            }
        }
    };
    for (doc, document) in (0..).zip(&year.data.documents) {
        receive(&mut tasks, document.month());
        tasks.push(Task { month: document.month(), work: Work::Document(doc) });
    }
    tasks.retain(|task| done.is_none_or(|done| task.month > done));
    tasks
}

type Shelf = (Place, SkuNo);

/// What a task does to stock, and which documents it needs.
#[derive(Default)]
struct Footprint {
    gives: BTreeSet<Shelf>,
    takes: BTreeSet<Shelf>,
    needs: BTreeSet<DocNo>,
}

impl Footprint {
    fn of(year: &Year, task: &Task) -> Self {
        let mut print = Self::default();
        match &task.work {
            Work::Receive { place, lines } => print.gives.extend(lines.iter().map(|(sku, _)| (*place, *sku))),
            Work::Document(doc) => {
                let document = year.document(*doc);
                for (at, line) in document.lines.iter().enumerate() {
                    let shelf = (document.place_of(line), line.sku);
                    match Document::stock_change(line) {
                        0 => {}
                        1.. => drop(print.gives.insert(shelf)),
                        _ => drop(print.takes.insert(shelf)),
                    }
                    let ties = year.ties.get(&(*doc, at)).map_or(&[][..], Vec::as_slice);
                    print.needs.extend(ties.iter().map(|tie| tie.doc));
                }
            }
        }
        print
    }
}

struct Live {
    /// Unfinished tasks that this one waits for.
    waits: usize,
    /// Tasks that wait for this one.
    wakes: Vec<TaskNo>,
    gives: BTreeSet<Shelf>,
}

/// Hands out tasks as they become ready, the oldest first.
pub struct Schedule<'a> {
    year: &'a Year,
    tasks: &'a [Task],
    admitted: TaskNo,
    live: BTreeMap<TaskNo, Live>,
    ready: BinaryHeap<Reverse<TaskNo>>,
    /// Unfinished tasks that give to a shelf.
    givers: HashMap<Shelf, Vec<TaskNo>>,
    /// Unfinished tasks by their document.
    documents: HashMap<DocNo, TaskNo>,
}

impl<'a> Schedule<'a> {
    pub fn new(year: &'a Year, tasks: &'a [Task]) -> Self {
        Self {
            year,
            tasks,
            admitted: 0,
            live: BTreeMap::new(),
            ready: BinaryHeap::new(),
            givers: HashMap::new(),
            documents: HashMap::new(),
        }
    }

    /// A task that may begin now.
    pub fn next(&mut self) -> Option<TaskNo> {
        while self.admitted < self.tasks.len()
            && self.live.keys().next().is_none_or(|oldest| self.admitted - oldest < WINDOW)
        {
            self.admit();
        }
        self.ready.pop().map(|Reverse(task)| task)
    }

    fn admit(&mut self) {
        let no = self.admitted;
        self.admitted += 1;
        let print = Footprint::of(self.year, &self.tasks[no]);
        let mut before: BTreeSet<TaskNo> =
            print.takes.iter().filter_map(|shelf| self.givers.get(shelf)).flatten().copied().collect();
        before.extend(print.needs.iter().filter_map(|doc| self.documents.get(doc)));
        for task in &before {
            if let Some(live) = self.live.get_mut(task) {
                live.wakes.push(no);
            }
        }
        if before.is_empty() {
            self.ready.push(Reverse(no));
        }
        for shelf in &print.gives {
            self.givers.entry(*shelf).or_default().push(no);
        }
        if let Work::Document(doc) = self.tasks[no].work {
            self.documents.insert(doc, no);
        }
        self.live.insert(no, Live { waits: before.len(), wakes: Vec::new(), gives: print.gives });
    }

    /// A task that was handed out is done.
    pub fn finish(&mut self, no: TaskNo) {
        let Some(done) = self.live.remove(&no) else { return };
        for shelf in &done.gives {
            if let Some(givers) = self.givers.get_mut(shelf) {
                givers.retain(|giver| *giver != no);
            }
        }
        if let Work::Document(doc) = self.tasks[no].work {
            self.documents.remove(&doc);
        }
        for woken in done.wakes {
            if let Some(live) = self.live.get_mut(&woken) {
                live.waits -= 1;
                if live.waits == 0 {
                    self.ready.push(Reverse(woken));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::replay::{dataset::Dataset, receipts::smallest_plan};

    /// Many documents over few SKUs: sales, returns to them, losses and finds, over three months.
    fn busy_year(rng: &mut ChaCha8Rng) -> Dataset {
        let mut content =
            String::from("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n");
        for number in 0..600 {
            let (sku, units) = (rng.random_range(0..4), rng.random_range(1..9));
            let (month, day) = (1 + number / 200, 1 + number % 200 / 10);
            let customer = rng.random_range(1..4);
            let row = match rng.random_range(0..10) {
                0..6 => {
                    format!("{number},SKU{sku},,{units},2011-{month:02}-{day:02} 09:00,700,{customer},United Kingdom")
                }
                6..8 => {
                    format!("C{number},SKU{sku},,-{units},2011-{month:02}-{day:02} 09:00,700,{customer},United Kingdom")
                }
                8 => format!("{number},SKU{sku},,{units},2011-{month:02}-{day:02} 09:00,0,,United Kingdom"),
                _ => format!("{number},SKU{sku},,-{units},2011-{month:02}-{day:02} 09:00,0,,United Kingdom"),
            };
            content.push_str(&row);
            content.push('\n');
        }
        Dataset::of(&content)
    }

    /// Runs a schedule with tasks that end in random order. Stock is taken when a task begins and given when it ends,
    /// the worst that can be.
    fn run(year: &Year, in_flight: usize, rng: &mut ChaCha8Rng) -> usize {
        let tasks = tasks(year, None);
        let mut schedule = Schedule::new(year, &tasks);
        let mut levels: HashMap<Shelf, i64> = HashMap::new();
        let (mut running, mut done) = (Vec::new(), BTreeSet::new());
        loop {
            while running.len() < in_flight
                && let Some(no) = schedule.next()
            {
                if let Work::Document(doc) = tasks[no].work {
                    let document = year.document(doc);
                    for line in document.lines.iter().filter(|line| Document::stock_change(line) < 0) {
                        let level = levels.entry((document.place_of(line), line.sku)).or_default();
                        *level += Document::stock_change(line);
                        assert!(*level >= 0, "{} finds the shelf empty", document.number);
                    }
                    let ties = (0..document.lines.len()).filter_map(|at| year.ties.get(&(doc, at))).flatten();
                    ties.for_each(|tie| assert!(done.contains(&tie.doc), "a return before its sale"));
                }
                running.push(no);
            }
            if running.is_empty() {
                return tasks.len();
            }
            let no = running.swap_remove(rng.random_range(0..running.len()));
            match &tasks[no].work {
                Work::Receive { place, lines } => {
                    for (sku, units) in lines {
                        *levels.entry((*place, *sku)).or_default() += units;
                    }
                }
                Work::Document(doc) => {
                    let document = year.document(*doc);
                    for line in document.lines.iter().filter(|line| Document::stock_change(line) > 0) {
                        *levels.entry((document.place_of(line), line.sku)).or_default() += Document::stock_change(line);
                    }
                    done.insert(*doc);
                }
            }
            schedule.finish(no);
        }
    }

    #[test]
    fn in_whatever_order_tasks_end_no_shelf_is_short_and_all_are_done() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for in_flight in [1, 4, 64] {
            let data = busy_year(&mut rng);
            let receipts = smallest_plan(&data);
            let year = Year::new(data, receipts);
            assert!(!year.ties.is_empty(), "some returns are tied");
            assert!(run(&year, in_flight, &mut rng) >= 600);
        }
    }

    #[test]
    fn after_a_checkpoint_only_later_months_are_left() {
        let data = busy_year(&mut ChaCha8Rng::seed_from_u64(1));
        let receipts = smallest_plan(&data);
        let year = Year::new(data, receipts);
        let done = Month::parse("2011-02");
        let left = tasks(&year, done);
        assert!(left.iter().all(|task| Some(task.month) > done));
        assert_eq!(left.iter().filter(|task| matches!(task.work, Work::Document(_))).count(), 200);
    }
}
