//! Triage Microsoft Sentinel incidents with notebooks.
//!
//! One incident's way: source → claim → run → judge → publish → annotate → settle → acknowledge. Each arrow is written into the
//! [`ledger`]: what is intended, then, after the effect, what became of it. Every step done twice equals once, so a crash
//! between any two lines loses nothing and repeats nothing visible.

pub mod bundle;
pub mod case;
pub mod change;
pub mod comment;
pub mod config;
pub mod doctor;
mod driver;
mod error;
mod event;
pub mod incidents;
pub mod journal;
mod lease;
pub mod ledger;
mod manager;
mod pass;
pub mod place;
pub mod plan;
pub mod policy;
mod publish;
pub mod redact;
pub mod route;
mod run_key;
pub mod severity;
pub mod shipped;
pub mod source;
mod template;
mod text;
pub mod verdict;

pub use error::{Class, Trouble};
pub use event::Event;
pub use manager::{Manager, Setup, SetupError, SourceChoice, executed_file, kernel_pool, run_folder};
pub use pass::{PassError, PassReport};
pub use run_key::{RunKey, RunKeyError};
pub use template::TemplateError;
