//! What came out, and the figures that are told of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::{Point, Scale};
use crate::contender::Contender;
use crate::documents::Document;
use crate::machine::Machine;
use crate::startup::Startup;

/// Everything, as the JSON file has it.
#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) scale: Scale,
    pub(crate) startup: Option<Startup>,
    pub(crate) cases: Vec<CaseResult>,
    pub(crate) documents: Vec<Document>,
}

#[derive(Serialize)]
pub(crate) struct CaseResult {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) axis: Option<&'static str>,
    pub(crate) points: Vec<PointResult>,
}

#[derive(Serialize)]
pub(crate) struct PointResult {
    pub(crate) size: usize,
    pub(crate) label: String,
    pub(crate) contenders: BTreeMap<Contender, Samples>,
}

/// One run of one contender.
#[derive(Serialize)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Of the contender's own process, in KiB.
    pub(crate) peak_kib: Option<u64>,
    /// Whether the saved notebook holds everything that was printed.
    pub(crate) complete: bool,
    /// What the time of the bare kernel consists of.
    pub(crate) parts: Option<BareParts>,
}

/// As `bare.py` says them, in seconds.
#[derive(Deserialize, Serialize)]
pub(crate) struct BareParts {
    boot: f64,
    run: f64,
    shutdown: f64,
    total: f64,
}

impl Sample {
    /// Of the line that `bare.py` prints: its own clock counts.
    pub(crate) fn of_bare(line: &str) -> Self {
        #[derive(Deserialize)]
        struct Said {
            seconds: BareParts,
            peak_kib: u64,
        }
        let Said { seconds, peak_kib } = serde_json::from_str(line).expect("bare.py prints its figures");
        Self { seconds: seconds.total, peak_kib: Some(peak_kib), complete: true, parts: Some(seconds) }
    }
}

/// All runs of one contender, by round.
#[derive(Default, Serialize)]
pub(crate) struct Samples {
    rounds: BTreeMap<usize, Sample>,
}

impl Samples {
    fn seconds(&self) -> impl Iterator<Item = f64> {
        self.rounds.values().map(|sample| sample.seconds)
    }

    pub(crate) fn median(&self) -> Option<f64> {
        median(self.seconds())
    }

    pub(crate) fn fastest(&self) -> Option<f64> {
        self.seconds().min_by(f64::total_cmp)
    }

    /// In MiB.
    pub(crate) fn peak_memory(&self) -> Option<f64> {
        let kib = self.rounds.values().filter_map(|sample| sample.peak_kib).max()?;
        Some(f64::from(u32::try_from(kib).ok()?) / 1024.0)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.rounds.values().all(|sample| sample.complete)
    }

    /// How many times the time of the other it took: the median over the rounds in which both ran.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        median(self.rounds.iter().filter_map(|(round, sample)| {
            other.rounds.get(round).map(|other| sample.seconds / other.seconds)
        }))
    }
}

impl PointResult {
    pub(crate) fn new(point: &Point) -> Self {
        Self { size: point.size, label: point.label.clone(), contenders: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, contender: Contender, round: usize, sample: Sample) {
        self.contenders.entry(contender).or_default().rounds.insert(round, sample);
    }

    pub(crate) fn ratio(&self, contender: Contender, to: Contender) -> Option<f64> {
        self.contenders.get(&contender)?.ratio_to(self.contenders.get(&to)?)
    }
}

/// Of an even number of values, the mean of the middle two.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(seconds: &[f64]) -> Samples {
        let sample = |&seconds| Sample { seconds, peak_kib: None, complete: true, parts: None };
        Samples { rounds: seconds.iter().map(sample).enumerate().collect() }
    }

    #[test]
    fn a_ratio_compares_round_by_round() {
        // The machine was twice as slow in the second round, for both.
        let (slow, quick) = (samples(&[2.0, 4.0, 2.2]), samples(&[1.0, 2.0]));
        assert_eq!(slow.ratio_to(&quick), Some(2.0));
        assert_eq!(slow.ratio_to(&samples(&[])), None);
    }

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
    }
}
