//! Looks now and then at what a contained kernel uses, to end it when a limit is exceeded and to name that limit.
//!
//! A control group kills by itself, but perhaps only a child of the kernel; where there is none, this is the limit
//! itself. Looking costs at most a twentieth of a core.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use super::cgroup::Group;
use super::{Limits, MemoryLimit};
use crate::death::{DeathCause, KernelDeath};

/// How often is looked, if looking is cheap.
const PACE: Duration = Duration::from_millis(100);

/// So many times as long as a look took, none follows.
const REST: u32 = 20;

const SIGXCPU: i32 = 24;

/// Watches one kernel.
pub(super) struct Watch {
    limits: Limits,
    next: Instant,
    pid: u32,
    mark: String,
    /// Whether a process is one of the kernel's, by its id and when it was started; told by its environment once.
    known: HashMap<(u32, u64), bool>,
    /// CPU time of the kernel's own process when last looked at.
    cpu_used: Duration,
    /// What speaks for it that the memory limit was exceeded.
    evidence: Option<String>,
}

impl Watch {
    pub(super) fn new(limits: Limits) -> Self {
        let nobody = (0, String::new());
        Self {
            limits,
            next: Instant::now(),
            pid: nobody.0,
            mark: nobody.1,
            known: HashMap::new(),
            cpu_used: Duration::ZERO,
            evidence: None,
        }
    }

    /// The kernel has been started as this process, with this variable (`NAME=value`) in its environment.
    pub(super) fn started(&mut self, pid: u32, mark: String) {
        (self.pid, self.mark) = (pid, mark);
    }

    /// Returns when the memory limit has been exceeded, once; waits for ever if there is none. Cancel-safe.
    pub(super) async fn exceeded(&mut self, group: Option<&Group>) {
        let watches = self.limits.memory.is_some() || self.limits.cpu.is_some();
        if !watches || self.evidence.is_some() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep_until(self.next).await;
            let began = Instant::now();
            self.look(group);
            self.next = Instant::now() + PACE.max(began.elapsed() * REST);
            if self.evidence.is_some() {
                return;
            }
        }
    }

    fn look(&mut self, group: Option<&Group>) {
        if self.limits.cpu.is_some()
            && let Some(process) = Look::at(self.pid)
        {
            self.cpu_used = process.cpu;
        }
        let Some(limit) = self.limits.memory else { return };
        self.evidence = match group {
            Some(group) => kills(group),
            None => self.sample(limit),
        };
    }

    /// The cause of a death, if a limit is what it was.
    pub(super) fn explain(&self, death: KernelDeath, group: Option<&Group>) -> KernelDeath {
        let killed =
            matches!(death.cause, DeathCause::OutOfMemory { .. }) || death.cause == DeathCause::KILLED;
        let evidence = self.evidence.clone().or_else(|| group.filter(|_| killed).and_then(kills));
        let over = self.limits.cpu.filter(|&limit| {
            death.cause == DeathCause::Signal(SIGXCPU) || (killed && self.cpu_used >= limit)
        });
        let cause = match (self.limits.memory, evidence, over) {
            (Some(limit), Some(evidence), _) => DeathCause::OutOfMemory { limit: Some(limit), evidence },
            (_, _, Some(limit)) => DeathCause::CpuLimit { limit },
            _ => return death,
        };
        KernelDeath { cause, ..death }
    }

    /// Adds up what the processes of the kernel hold. What they share counts once, but finding that out costs more:
    /// only when it matters.
    fn sample(&mut self, limit: MemoryLimit) -> Option<String> {
        let members = self.members(is_marked);
        let resident: u64 = members.iter().map(|process| process.resident).sum();
        if resident <= limit.bytes() {
            return None;
        }
        let shared_once: u64 =
            members.iter().map(|process| proportional(process.pid).unwrap_or(process.resident)).sum();
        let held = MemoryLimit::of_bytes(shared_once & !((1 << 20) - 1))?;
        (shared_once > limit.bytes()).then(|| format!("its processes held {held}"))
    }

    /// The kernel's session, its descendants, and whatever carries its mark.
    fn members(&mut self, is_marked: impl Fn(u32, &str) -> bool) -> Vec<Look> {
        let mut others = Vec::new();
        let mut members = Vec::new();
        let mut seen = HashMap::new();
        for process in all() {
            let key = (process.pid, process.started);
            let is_member = process.session == self.pid
                || self.known.get(&key).copied().unwrap_or_else(|| is_marked(process.pid, &self.mark));
            seen.insert(key, is_member);
            if is_member { members.push(process) } else { others.push(process) }
        }
        loop {
            let (children, rest): (Vec<Look>, Vec<Look>) = others
                .into_iter()
                .partition(|process| members.iter().any(|member: &Look| member.pid == process.parent));
            let done = children.is_empty();
            seen.extend(children.iter().map(|child| ((child.pid, child.started), true)));
            members.extend(children);
            others = rest;
            if done {
                break;
            }
        }
        self.known = seen;
        members
    }
}

fn kills(group: &Group) -> Option<String> {
    let kills = group.memory_kills();
    (kills > 0).then(|| format!("its control group counts {kills} kills for lack of memory"))
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug)]
struct Look {
    pid: u32,
    parent: u32,
    session: u32,
    cpu: Duration,
    started: u64,
    resident: u64,
}

impl Look {
    fn at(pid: u32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: u32, stat: &str) -> Option<Self> {
        // The command's name, in parentheses, may hold anything.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = number(11)? + number(12)?;
        Some(Self {
            pid,
            parent: u32::try_from(number(1)?).ok()?,
            session: u32::try_from(number(3)?).ok()?,
            cpu: Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second()),
            started: number(19)?,
            resident: number(21)?.saturating_mul(u64::try_from(rustix::param::page_size()).ok()?),
        })
    }
}

fn all() -> impl Iterator<Item = Look> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Look::at(entry.file_name().to_str()?.parse().ok()?))
}

fn is_marked(pid: u32, mark: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|variables| variables.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()))
}

/// Its own memory and its part of what it shares, swapped out or not.
fn proportional(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some((kibibytes("Pss:")? + kibibytes("SwapPss:").unwrap_or(0)) << 10)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat =
            "7 (a) b (c) S 3 7 5 0 -1 4194304 9 0 0 0 150 50 1 2 20 0 4 0 1234 99 10 18446744073709551615";
        let look = Look::parse(7, stat).unwrap();
        assert_eq!((look.parent, look.session, look.started), (3, 5, 1234));
        assert_eq!(look.resident, 10 * u64::try_from(rustix::param::page_size()).unwrap());
        assert!(Look::parse(7, "7 (x").is_none());
    }

    #[test]
    fn this_process_is_found_and_holds_memory() {
        let me = std::process::id();
        assert!(all().any(|process| process.pid == me && process.resident > 0));
        assert!(proportional(me).is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_process_is_told_by_its_environment_once() {
        let me = std::process::id();
        let asked = Cell::new(0);
        let mut watch = Watch::new(Limits::default());
        watch.started(u32::MAX, String::new());
        for _ in 0..3 {
            let members = watch.members(|pid, _| {
                asked.set(asked.get() + u32::from(pid == me));
                pid == me
            });
            assert!(members.iter().any(|member| member.pid == me));
        }
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn only_a_limit_explains_a_death() {
        let death = |cause| KernelDeath { cause, stderr_tail: String::new() };
        let mut watch = Watch::new(Limits { cpu: Some(Duration::from_secs(5)), ..Limits::default() });
        let limit = DeathCause::CpuLimit { limit: Duration::from_secs(5) };
        assert_eq!(watch.explain(death(DeathCause::Signal(24)), None).cause, limit);
        assert_eq!(watch.explain(death(DeathCause::KILLED), None).cause, DeathCause::KILLED);
        watch.cpu_used = Duration::from_secs(6);
        assert_eq!(watch.explain(death(DeathCause::KILLED), None).cause, limit);
        assert_eq!(watch.explain(death(DeathCause::Exit(1)), None).cause, DeathCause::Exit(1));
    }
}
