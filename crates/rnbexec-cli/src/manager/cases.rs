//! Cases as people and programs see them.

use std::time::Duration;

use jiff::Timestamp;
use rnbexec_manager::Class;
use rnbexec_manager::case::{Ending, Step};
use rnbexec_manager::ledger::Case;
use rnbexec_manager::severity::Severity;
use serde_json::{Value, json};

use super::table::{Column, table};

/// The columns of a list of cases.
const COLUMNS: [Column; 7] = [
    Column::whole("INCIDENT"),
    Column::cut("TITLE", 20),
    Column::whole("SEVERITY"),
    Column::whole("VERDICT"),
    Column::whole("CONFIDENCE"),
    Column::cut("ENDED", 24),
    Column::whole("LINK"),
];

/// What came of the cases, the worst first.
pub(crate) fn outcomes(cases: &[Case], now: Timestamp, room: Option<usize>) -> String {
    let mut cases: Vec<&Case> = cases.iter().collect();
    cases.sort_by_key(|case| std::cmp::Reverse(urgency(case)));
    let rows = cases.into_iter().map(|case| {
        vec![
            case.facts.called(),
            case.facts.title.clone(),
            severity(case),
            verdict(case),
            confidence(case),
            ended(case, now),
            case.facts.link.clone().unwrap_or_default(),
        ]
    });
    table(&COLUMNS, &rows.collect::<Vec<_>>(), room)
}

/// Those that need a person come first, then the severe ones.
pub(crate) fn urgency(case: &Case) -> (bool, Option<Severity>, Option<Severity>) {
    let (before, after) = severities(case);
    let rank = |word: &str| word.parse::<Severity>().ok();
    (case.state.step == Step::NeedsHuman, rank(after), rank(before))
}

/// The incident's severity as it came in, and as it is now; what is yet to be written is no change.
pub(crate) fn severities(case: &Case) -> (&str, &str) {
    match &case.facts.change {
        Some((before, after)) if case.state.step > Step::Settle => (before, after),
        _ => (&case.facts.severity, &case.facts.severity),
    }
}

/// `Low → High`, or the one word.
pub(crate) fn severity(case: &Case) -> String {
    let (before, after) = severities(case);
    if before == after { before.to_owned() } else { format!("{before} → {after}") }
}

/// How bad the notebook says it is, and what kind of finding.
pub(crate) fn verdict(case: &Case) -> String {
    let Some(verdict) = &case.facts.verdict else { return String::new() };
    let class = verdict.classification.as_ref().map(|classification| spaced(classification.class.as_str()));
    let parts = [Some(verdict.severity.to_string()), class];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `TruePositive` as `true positive`.
fn spaced(word: &str) -> String {
    let mut spaced = String::new();
    for c in word.chars() {
        if c.is_uppercase() && !spaced.is_empty() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
    }
    spaced
}

/// How sure the notebook is.
pub(crate) fn confidence(case: &Case) -> String {
    let confidence = case.facts.verdict.as_ref().and_then(|verdict| verdict.confidence);
    confidence.map(|confidence| format!("{confidence:.2}")).unwrap_or_default()
}

/// How it ended, or what it waits for.
pub(crate) fn ended(case: &Case, now: Timestamp) -> String {
    let reason = case.facts.reason.as_deref().unwrap_or("no reason is known");
    match (case.state.step, case.state.ending) {
        (Step::NeedsHuman, _) => format!("needs a person: {reason}"),
        (Step::Done, Some(Ending::Triaged)) => "triaged".to_owned(),
        (Step::Done, Some(Ending::NoFinding)) => "no finding".to_owned(),
        (Step::Done, Some(Ending::Skipped)) => format!("skipped: {reason}"),
        (Step::Done, Some(Ending::Parked) | None) => "over".to_owned(),
        _ if case.state.failures > 0 => format!("again {}: {reason}", when(case.due, now)),
        (Step::Claim, _) => "waits for its turn".to_owned(),
        (step, _) => format!("goes on at {}", step.as_str()),
    }
}

/// `in 5m`, or `now`.
pub(crate) fn when(due: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(due.duration_since(now)) {
        Ok(wait) if !wait.is_zero() => format!("in {}", spoken(wait)),
        _ => "now".to_owned(),
    }
}

/// A duration in its largest units: `3d 4h`, `5m 10s`, `12s`.
pub(crate) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// What a person should do about a case that was given up.
pub(crate) fn advice(class: Option<Class>) -> &'static str {
    match class {
        Some(Class::Permission) => "`rnbexec manager doctor` says what to grant; then retry",
        Some(Class::Notebook) => {
            "look at the executed notebook (`rnbexec manager show`), mend it or its data, then retry"
        }
        Some(Class::Kernel) => {
            "`rnbexec manager doctor` tries the kernel; give it more memory or time, then retry"
        }
        Some(Class::Unavailable) => "see that the service is there, then retry",
        Some(Class::Refused) | None => "see the reason; retry when it is gone",
    }
}

/// A case for programs. A key that does not apply is null, so that every case has the same keys.
pub(crate) fn as_json(case: &Case) -> Value {
    let facts = &case.facts;
    let (before, after) = severities(case);
    json!({
        "incident": facts.name,
        "number": facts.number,
        "id": facts.incident_id,
        "title": facts.title,
        "run": case.key,
        "source": facts.source,
        "route": facts.route,
        "notebook": facts.notebook,
        "step": case.state.step,
        "ending": case.state.ending,
        "running": case.owned,
        "failures": case.state.failures,
        "class": facts.class,
        "reason": facts.reason,
        "severity_before": before,
        "severity_after": after,
        "verdict": facts.verdict,
        "link": facts.link,
        "report": facts.report,
        "withheld": facts.withheld,
        "seconds": facts.seconds,
        "created": facts.created,
        "enlisted": case.enlisted,
        "updated": case.updated,
        "due": case.due,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_their_largest_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h 0m"), (90_000, "1d 1h"), (864_000, "10d 0h")]
        {
            assert_eq!(spoken(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_is_due_is_due_now() {
        let now = Timestamp::from_second(1_000).unwrap();
        assert_eq!(when(now, now), "now");
        assert_eq!(when(Timestamp::from_second(10).unwrap(), now), "now");
        assert_eq!(when(Timestamp::from_second(1_090).unwrap(), now), "in 1m 30s");
    }

    #[test]
    fn kinds_of_findings_are_words() {
        assert_eq!(spaced("TruePositive"), "true positive");
        assert_eq!(spaced("Undetermined"), "undetermined");
    }
}
