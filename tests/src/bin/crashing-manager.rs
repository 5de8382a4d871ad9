//! A manager in a process of its own that can be made to crash: `crashing-manager once|watch CONFIG [crash=N|WHAT] [KEY=VALUE…]`.
//!
//! `crash=N` aborts the process at the N-th thing it tells of a case: the intent of a step, an effect, a result, a cell that
//! begins; `crash=WHAT` at the one of this text. Every other pair lies over the configuration. `watch` drains when its standard input ends. One line of JSON says what
//! came of it.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{ExitCode, abort};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rnbexec::{Cancel, CancelLevel, Services};
use rnbexec_manager::config::{Config, ConfigSources};
use rnbexec_manager::{Event, Setup, SourceChoice};
use serde_json::json;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(what), Some(file)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: crashing-manager once|watch CONFIG [crash=N|WHAT] [KEY=VALUE...]");
        return ExitCode::from(2);
    };
    let mut settings: Vec<(String, String)> = arguments
        .map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .expect("settings are KEY=VALUE");
    let crash = settings.iter().position(|(key, _)| key == "crash").map(|index| settings.remove(index).1);
    let file = PathBuf::from(file);
    let config = Config::load(ConfigSources {
        working_folder: env::current_dir().expect("there is a working folder"),
        file: Some((file.clone(), fs::read_to_string(file).expect("the configuration can be read"))),
        variables: Vec::new(),
        overrides: settings,
    });
    let setup = Setup {
        config: config.unwrap_or_else(|error| panic!("{error}")),
        services: Services::from_process(),
        variables: env::vars().collect(),
        source: SourceChoice::Configured,
        again: false,
        listener: crashing_at(crash),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let report = runtime.block_on(async {
        let manager = Arc::new(setup.manager().await.unwrap_or_else(|error| panic!("{error:?}")));
        let (handle, cancel) = Cancel::new();
        let done = if what == "watch" {
            thread::spawn(move || {
                let ended = io::copy(&mut io::stdin(), &mut io::sink());
                ended.expect("standard input can be read");
                handle.raise(CancelLevel::Drain);
            });
            manager.watch(cancel).await
        } else {
            manager.once(cancel).await
        };
        done.unwrap_or_else(|error| panic!("{error:?}"))
    });
    println!(
        "{}",
        json!({"ended": report.ended.len(), "waiting": report.waiting.len(), "given_back": report.given_back,
               "rejected": report.rejected, "troubles": report.troubles.len()})
    );
    ExitCode::SUCCESS
}

/// Aborts at the N-th event that is about a step, or at the one with this text.
#[expect(clippy::print_stderr, reason = "the last word of a program that crashes")]
fn crashing_at(crash: Option<String>) -> Box<dyn Fn(&Event<'_>) + Send + Sync> {
    let told = AtomicUsize::new(0);
    Box::new(move |event| {
        let said = match event {
            Event::Intent { step, .. } => format!("the intent to {}", step.as_str()),
            Event::Effect { step, what, .. } => format!("the effect of {}: {what}", step.as_str()),
            Event::Result { step, .. } => format!("the result of {}", step.as_str()),
            Event::Cell { index, .. } => format!("cell {index}"),
            _ => return,
        };
        let number = told.fetch_add(1, Ordering::Relaxed) + 1;
        if crash.as_ref().is_some_and(|crash| *crash == said || *crash == number.to_string()) {
            eprintln!("crashing at {said}");
            abort();
        }
    })
}
