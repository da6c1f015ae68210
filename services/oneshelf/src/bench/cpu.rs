//! CPU time by process, from `/proc`. Where that cannot be read, a process is left out of the figures.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    time::Duration,
};

/// The unit of the times in `/proc/<pid>/stat`: Linux shows user space 100 ticks a second on every machine.
const TICK: Duration = Duration::from_millis(10);

/// CPU time used so far (or between two readings), by name.
#[derive(Debug, Clone, Default)]
pub struct Cpu(pub BTreeMap<&'static str, Duration>);

impl Cpu {
    pub fn since(&self, before: &Self) -> Self {
        let used = |name| before.0.get(name).copied().unwrap_or_default();
        Self(self.0.iter().map(|(name, now)| (*name, now.saturating_sub(used(name)))).collect())
    }
}

/// Whose time is read.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Single processes, by name.
    processes: Vec<(&'static str, u32)>,
    /// PostgreSQL's first process, and the database whose backends count.
    postgres: Option<(u32, &'static str)>,
}

impl Meter {
    /// Counts this process as the client.
    pub fn new() -> Self {
        Self { processes: vec![("client", std::process::id())], postgres: None }
    }

    pub fn process(mut self, name: &'static str, pid: Option<u32>) -> Self {
        self.processes.extend(pid.map(|pid| (name, pid)));
        self
    }

    /// Backends of other databases are left out: they are not ours. The writers that all share are counted whole.
    pub fn postgres(mut self, pid: Option<u32>, database: &'static str) -> Self {
        self.postgres = pid.map(|pid| (pid, database));
        self
    }

    pub fn read(&self) -> Cpu {
        let mut cpu = Cpu::default();
        for (name, pid) in &self.processes {
            if let Some(stat) = Stat::read(*pid) {
                cpu.0.insert(name, stat.used);
            }
        }
        if let Some((postmaster, database)) = self.postgres {
            let used = processes()
                .filter_map(|pid| Some((pid, Stat::read(pid)?)))
                .filter(|(pid, stat)| stat.parent == postmaster && serves(*pid, database))
                .map(|(_, stat)| stat.used)
                .sum();
            cpu.0.insert("postgres", used);
        }
        cpu
    }
}

/// A backend's title is `postgres: <role> <database> <peer> <state>`; the shared writers' has no peer.
fn serves(pid: u32, database: &str) -> bool {
    let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&str> = title.split_ascii_whitespace().collect();
    let is_backend = words.get(3).is_some_and(|peer| peer.contains('(') || *peer == "[local]");
    !is_backend || words.get(2) == Some(&database)
}

struct Stat {
    parent: u32,
    used: Duration,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; the fields begin behind the last one: state, parent, …
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
        Some(Self { parent: fields.get(1)?.parse().ok()?, used: TICK * ticks })
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The process on this machine that listens on a TCP port. Needs the right to look into it.
pub fn listener(port: u16) -> Option<u32> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(|line| listening_inode(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    // Children inherit the socket; the first process is the parent.
    processes().filter(|pid| holds_any(Path::new(&format!("/proc/{pid}/fd")), &sockets)).min()
}

/// Columns: number, local address, remote address, state (0A is listening), …, inode.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = fields.get(1)?.rsplit_once(':')?.1;
    let found = u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == "0A";
    found.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
}

fn holds_any(descriptors: &Path, sockets: &HashSet<String>) -> bool {
    fs::read_dir(descriptors)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
}
