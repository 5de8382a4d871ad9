//! `manager retry`.

use std::path::Path;

use jiff::Timestamp;
use rnbexec_manager::case::Step;
use rnbexec_manager::executed_file;
use rnbexec_manager::ledger::{Again, Case, Ledger};
use serde_json::json;

use super::args::{RetryArgs, overrides};
use super::look::{cases_of, ledger};
use super::{configure, print_json};
use crate::exit;
use crate::failure::Failure;

/// What became of one that was to be begun again.
enum Became {
    Begun,
    /// Why not.
    Left(&'static str),
}

/// `manager retry`.
pub(super) async fn retry(args: RetryArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.look.config, overrides(&[&args.look.config]))?;
    let ledger = ledger(&config)?;
    ledger.recover(Timestamp::now()).await.map_err(|error| Failure::of(&error))?;
    let mut chosen: Vec<Case> = Vec::new();
    if args.all_parked {
        let cases = ledger.cases().await.map_err(|error| Failure::of(&error))?;
        chosen.extend(cases.into_iter().filter(|case| case.state.step == Step::NeedsHuman));
    }
    for incident in &args.incidents {
        // Older triages of the same incident are history.
        chosen.extend(cases_of(&ledger, incident).await?.into_iter().next());
    }
    let mut results = Vec::new();
    for case in chosen {
        let became = begin_again(&ledger, &case, &config.state.folder).await?;
        match &became {
            Became::Begun => {
                tracing::info!("Incident {} begins again with the next pass", case.facts.called());
            }
            Became::Left(why) => tracing::warn!("Incident {} is left alone: {why}", case.facts.called()),
        }
        results.push((case, became));
    }
    let all_begun = results.iter().all(|(_, became)| matches!(became, Became::Begun));
    if args.look.json {
        let result = |(case, became): &(Case, Became)| {
            let (begun, reason) = match became {
                Became::Begun => (true, None),
                Became::Left(why) => (false, Some(*why)),
            };
            json!({ "incident": case.facts.name, "number": case.facts.number, "run": case.key, "begun": begun, "reason": reason })
        };
        print_json(&json!({ "incidents": results.iter().map(result).collect::<Vec<_>>() }))?;
    } else if results.is_empty() {
        tracing::info!("Nothing needs a person");
    }
    Ok(if all_begun { exit::SUCCESS } else { exit::FAILURE })
}

async fn begin_again(ledger: &Ledger, case: &Case, state: &Path) -> Result<Became, Failure> {
    if case.state.step == Step::Done {
        return Ok(Became::Left("it is done (`rnbexec manager once --incident ID --again` triages it anew)"));
    }
    let history = ledger.history(&case.key).await.map_err(|error| Failure::of(&error))?;
    let failed = history.iter().rev().find(|entry| entry.what == "failure").map(|entry| entry.step);
    let step = again_at(failed, executed_file(state, &case.key).is_file());
    let begun = ledger.begin_again(&case.key, step, Again::AskedFor, Timestamp::now()).await;
    let begun = begun.map_err(|error| Failure::of(&error))?;
    Ok(if begun { Became::Begun } else { Became::Left("a manager works on it now") })
}

/// Where to begin: what could not be told is told, without running the notebook again; all else begins at the beginning.
fn again_at(failed: Option<Step>, executed: bool) -> Step {
    match failed {
        Some(step @ (Step::Publish | Step::Annotate | Step::Settle)) if executed => step,
        _ => Step::Claim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notebook_that_ran_well_is_not_run_again() {
        for step in Step::ALL {
            let told = matches!(step, Step::Publish | Step::Annotate | Step::Settle);
            assert_eq!(again_at(Some(step), true), if told { step } else { Step::Claim });
            assert_eq!(again_at(Some(step), false), Step::Claim, "there is nothing to tell");
        }
        assert_eq!(again_at(None, true), Step::Claim);
    }
}
