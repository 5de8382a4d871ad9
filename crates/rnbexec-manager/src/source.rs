//! Where incidents come from.

pub mod folder;
pub mod list;
pub mod queue;
pub mod sentinel;

use std::time::Duration;

use async_trait::async_trait;
use rnbexec_azure::sentinel::{Incident, IncidentRef, ParseError};

use crate::error::Trouble;

/// A source of incidents to triage.
///
/// What it hands out is written into the ledger before anything else is asked of it; only then is the watermark kept, so a
/// crash in between hands the same incidents out again, and the ledger knows them.
#[async_trait]
pub trait IncidentSource: Send + Sync {
    /// Its name in the ledger (what the watermark is kept under) and in the log. Always the same for the same place.
    fn name(&self) -> String;

    /// The incidents that wait. A source with deliveries hands out at most `ask.room`; others may hand out all they have.
    async fn pending(&self, ask: Ask<'_>) -> Result<Batch, Trouble>;

    /// Keeps a delivery from being handed to somebody else, for as long as the source is set up to. Call it well within
    /// [`Delivery::renew_every`].
    async fn renew(&self, _delivery: &mut Delivery) -> Result<Lease, Trouble> {
        Ok(Lease::Held)
    }

    /// Everything is done: the source may forget this incident. Doing it twice is no error.
    async fn acknowledge(&self, _delivery: &Delivery) -> Result<(), Trouble> {
        Ok(())
    }

    /// Not done: the source hands it out again after `wait`.
    async fn release(&self, _delivery: &Delivery, _wait: Duration) -> Result<(), Trouble> {
        Ok(())
    }

    /// It cannot be done: the source puts it aside for a person, with the reason. Doing it twice leaves it there once or
    /// twice, never not at all.
    async fn park(&self, _delivery: &Delivery, _reason: &str) -> Result<(), Trouble> {
        Ok(())
    }
}

/// What is asked of a source.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// How many incidents can be begun at once.
    pub room: usize,
    /// What the source said last time; it means something only to the source.
    pub watermark: Option<&'a str>,
}

/// What a source has.
#[derive(Debug, Default)]
pub struct Batch {
    /// Incidents to look at.
    pub arrivals: Vec<Arrival>,
    /// What a person should know about how the source was asked.
    pub notes: Vec<String>,
    /// What the source held and put aside because nobody could read it, for the log.
    pub rejected: Vec<Rejected>,
    /// To be given back with the next [`Ask`], once the arrivals are in the ledger.
    pub watermark: Option<String>,
    /// The source has nothing more now.
    pub exhausted: bool,
}

/// One incident that a source has.
#[derive(Debug)]
pub struct Arrival {
    /// Which incident.
    pub reference: IncidentRef,
    /// The incident, when the source knows it.
    pub incident: Option<Incident>,
    /// What the source wants to hear about it.
    pub delivery: Option<Delivery>,
    /// Somebody asked for this one by name: it is triaged whatever the filters say, and whether or not it was before.
    pub asked_for: bool,
}

/// A message that is ours until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message_id: String,
    /// What proves that it is ours; it changes with each renewal.
    pub pop_receipt: String,
    /// How often it was handed out, this time included.
    pub count: u32,
    /// How often it may be handed out.
    pub most: u32,
    /// How often the lease wants to be renewed.
    pub renew_every: Duration,
    /// The text of the message as it came, so that it can be put aside unchanged.
    pub text: String,
}

impl Delivery {
    /// Handed out more often than it may be: whoever had it did not survive it.
    pub fn is_too_often(&self) -> bool {
        self.count > self.most
    }
}

/// Whether a delivery is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It is.
    Held,
    /// Somebody else has it, or it is gone: nothing more may be done on its behalf.
    Lost,
}

/// What a source put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which message or file.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Rejected {
    /// A file that holds no incident that could be read.
    fn unreadable(trouble: &Trouble) -> Self {
        Self { what: "a file of the folder".to_owned(), reason: trouble.in_full() }
    }

    /// An incident that has no name that could be used: nothing is asked or written under it.
    fn nameless(incident: &Incident, error: &ParseError) -> Self {
        let called =
            incident.number().map_or_else(|| incident.id().to_owned(), |number| format!("number {number}"));
        Self { what: format!("incident {called}"), reason: error.to_string() }
    }
}
