//! Durations on the command line: `90`, `90s`, `5m`, `1h`, `1h30m`.

use std::time::Duration;

/// A limit: `None` is for ever, which `0` and anything negative mean, as with papermill's `--execution-timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

impl Limit {
    /// A limit of whole seconds.
    pub(crate) fn of_seconds(seconds: i64) -> Self {
        Self(u64::try_from(seconds).ok().filter(|&seconds| seconds > 0).map(Duration::from_secs))
    }
}

/// Reads a limit: a number of seconds, or numbers with units (`ms`, `s`, `m`, `h`, `d`).
pub(crate) fn parse_limit(text: &str) -> Result<Limit, String> {
    let seconds = text.trim();
    if let Ok(seconds) = seconds.parse::<f64>() {
        if seconds.is_nan() || seconds > MAX_SECONDS {
            return Err(problem());
        }
        return Ok(Limit((seconds > 0.0).then(|| Duration::from_secs_f64(seconds))));
    }
    let spoken = seconds.parse::<jiff::SignedDuration>().map_err(|_| problem())?;
    match Duration::try_from(spoken) {
        Ok(duration) if duration.as_secs_f64() > MAX_SECONDS => Err(problem()),
        Ok(duration) => Ok(Limit((!duration.is_zero()).then_some(duration))),
        Err(_negative) => Ok(Limit(None)),
    }
}

/// A hundred years: longer is a slip, and would overflow clocks.
const MAX_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;

fn problem() -> String {
    "expected seconds such as 90, or a duration such as 90s, 5m or 1h30m".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        parse_limit(text).unwrap().0.map(|duration| duration.as_secs_f64())
    }

    #[test]
    fn a_bare_number_is_seconds() {
        assert_eq!(seconds("90"), Some(90.0));
        assert_eq!(seconds(" 1.5 "), Some(1.5));
    }

    #[test]
    fn units_are_read() {
        assert_eq!(seconds("90s"), Some(90.0));
        assert_eq!(seconds("5m"), Some(300.0));
        assert_eq!(seconds("1h"), Some(3600.0));
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("250ms"), Some(0.25));
    }

    #[test]
    fn nothing_and_less_is_no_limit() {
        for text in ["0", "-5", "0s", "-1m"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(Limit::of_seconds(0), Limit(None));
        assert_eq!(Limit::of_seconds(-3), Limit(None));
        assert_eq!(Limit::of_seconds(2), Limit(Some(Duration::from_secs(2))));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "soon", "5x", "nan", "1e300", "9999999999h"] {
            assert!(parse_limit(text).is_err(), "{text}");
        }
    }
}
