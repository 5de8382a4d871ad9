//! What came of a pass. A service makes one that takes months: of its past it keeps numbers, and the last of what there was.

use std::time::Duration;

use crate::case::Ending;
use crate::error::Trouble;
use crate::journal::Figures;
use crate::ledger::Case;

/// How much of a pass its report keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// Everything: the pass comes to an end.
    All,
    /// At least this many of the last cases and troubles; all of them are in the ledger or in the log as well.
    Last(usize),
}

impl Memory {
    /// That of a service.
    pub(super) const SERVICE: Self = Self::Last(100);
}

/// How a pass ended.
#[derive(Debug, Default)]
pub struct PassReport {
    /// The cases that ended, in the order in which they did; of a service the last ones (one hundred at least).
    pub ended: Vec<Case>,
    /// The cases that ended before those.
    pub earlier: Figures,
    /// The cases that failed and are tried again later.
    pub waiting: Vec<Case>,
    /// Cases that were begun and not finished because the manager was stopped or the source took them away.
    pub given_back: usize,
    /// Messages or files that nobody could read.
    pub rejected: usize,
    /// What kept the source, or single incidents of it, from being read; of a service the last ones (one hundred at least).
    pub troubles: Vec<Trouble>,
    /// How long the pass took.
    pub took: Duration,
}

impl PassReport {
    /// What came of it, in numbers.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures { waiting: self.waiting.len(), ..self.earlier };
        self.ended.iter().for_each(|case| count(&mut figures, case));
        figures
    }

    pub(super) fn end(&mut self, case: Case, memory: Memory) {
        self.ended.push(case);
        for case in surplus(&mut self.ended, memory) {
            count(&mut self.earlier, &case);
        }
    }

    pub(super) fn trouble(&mut self, trouble: Trouble, memory: Memory) {
        self.troubles.push(trouble);
        surplus(&mut self.troubles, memory);
    }
}

fn count(figures: &mut Figures, case: &Case) {
    match case.state.ending {
        Some(Ending::Triaged) => figures.triaged += 1,
        Some(Ending::NoFinding) => figures.no_finding += 1,
        Some(Ending::Skipped) => figures.skipped += 1,
        Some(Ending::Parked) => figures.parked += 1,
        None => {}
    }
}

/// Takes the oldest away from a list that has become twice as long as is kept of it.
fn surplus<T>(list: &mut Vec<T>, memory: Memory) -> Vec<T> {
    match memory {
        Memory::Last(kept) if list.len() >= 2 * kept => list.drain(..list.len() - kept).collect(),
        Memory::All | Memory::Last(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::case::{State, Step};
    use crate::error::Class;
    use crate::ledger::Facts;
    use crate::run_key::RunKey;

    fn case(ending: Ending) -> Case {
        let facts = Facts {
            incident_id: "/subscriptions/s/Incidents/a".to_owned(),
            name: "a".to_owned(),
            number: None,
            title: String::new(),
            severity: "Low".to_owned(),
            created: None,
            activity: None,
            source: "test".to_owned(),
            needs_delivery: false,
            asked_for: false,
            route: "default".to_owned(),
            notebook: "nb".to_owned(),
            reason: None,
            class: None,
            verdict: None,
            link: None,
            report: None,
            change: None,
            severity_at_claim: None,
            changing: None,
            withheld: Vec::new(),
            seconds: None,
        };
        Case {
            key: RunKey::derive(&facts.incident_id, None, b"nb", "{}"),
            state: State { step: Step::Done, failures: 0, ending: Some(ending) },
            due: Timestamp::UNIX_EPOCH,
            owned: false,
            enlisted: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
            facts,
        }
    }

    #[test]
    fn a_service_counts_every_case_and_keeps_the_last() {
        let mut report = PassReport::default();
        for _ in 0..10_000 {
            report.end(case(Ending::Triaged), Memory::SERVICE);
            report.end(case(Ending::Parked), Memory::SERVICE);
            report.trouble(Trouble::new(Class::Unavailable, "asking"), Memory::SERVICE);
        }
        assert!(report.ended.len() < 200 && report.troubles.len() < 200, "{}", report.ended.len());
        assert_eq!((report.figures().triaged, report.figures().parked), (10_000, 10_000));
    }

    #[test]
    fn a_pass_that_ends_keeps_all_of_them() {
        let mut report = PassReport::default();
        for _ in 0..1_000 {
            report.end(case(Ending::NoFinding), Memory::All);
        }
        assert_eq!((report.ended.len(), report.figures().no_finding), (1_000, 1_000));
    }
}
