//! A queue of Azure Queue Storage, as workers compete for it: a message that is received is leased, not removed; whoever does
//! not delete it in time gives it back.
//!
//! Through Microsoft's own crate, with three things of our own: an older version of the protocol than the crate's (an emulator
//! may not know new ones; an older one does all that is needed), the account key, and how the XML of messages is read: the
//! crate's reader drops the space around a text and fails all messages of an answer if one of them is not UTF-8.
//!
//! Source: "Queue Service REST API" of the Azure Storage REST reference.

mod message;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use azure_core::http::RequestContent;
use azure_core::http::headers::HeaderName;
use azure_storage_queue::models::{QueueClientReceiveMessagesOptions, QueueClientSendMessageOptions};
use azure_storage_queue::{QueueClient, QueueClientOptions};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

pub use message::{IncidentMessage, UnreadableMessage};

use crate::storage::xml::{Element, escaped};
use crate::storage::{Service, StorageClient, StorageSettings};
use crate::{AzureError, AzureErrorKind};

/// The first version of the protocol with all that is used here; real services and every emulator know it.
const VERSION: &str = "2021-12-02";

/// How many messages the service gives at most at once.
pub const MOST_MESSAGES: usize = 32;

/// How long the service hides a message at most.
pub const LONGEST_VISIBILITY: Duration = Duration::from_hours(7 * 24);

/// The ending of a poison queue's name.
const POISON: &str = "-poison";

const LONGEST_NAME: usize = 63;

const POP_RECEIPT: HeaderName = HeaderName::from_static("x-ms-popreceipt");
const COUNT: HeaderName = HeaderName::from_static("x-ms-approximate-messages-count");

/// A queue. Making one costs nothing; a connection and a token come with first use.
pub struct Queue {
    remote: QueueClient,
    name: QueueName,
    settings: StorageSettings,
    client: StorageClient,
}

/// A message that is leased: nobody else sees it until its time is over.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The service's name for it.
    pub id: String,
    /// The proof that the lease is ours; [`renew`](Queue::renew) changes it.
    pub pop_receipt: String,
    /// How often it was received, this time included.
    pub dequeue_count: u32,
    /// What it says, exactly; see [`IncidentMessage`].
    pub text: String,
    /// When it was put into the queue, by the service's clock.
    pub inserted: Option<Timestamp>,
}

/// Whether a lease was still ours when we used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Lease {
    /// It was, and what was asked is done.
    Held,
    /// It is over, and somebody else has received the message.
    Taken,
    /// The message is no longer there: somebody deleted it, or it is too old.
    Gone,
}

impl Lease {
    /// Whether somebody else may be at work on the message, or has been.
    pub fn is_lost(self) -> bool {
        self != Self::Held
    }
}

/// How long a message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Until it is deleted.
    Forever,
    /// This long, in whole seconds.
    For(Duration),
}

impl Queue {
    /// The queue `name` of the account of `settings`.
    pub fn new(client: &StorageClient, settings: &StorageSettings, name: &str) -> Result<Self, AzureError> {
        let name = QueueName::parse(name)?;
        let access = settings.reach(Service::Queue)?;
        let mut url = access.url()?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&name.0);
        }
        let mut client_options = client.http.client_options();
        client_options.per_try_policies.extend(access.policy(client)?);
        let version = client.version.clone().unwrap_or_else(|| VERSION.to_owned());
        // Without its own way of showing tokens, which refuses a simulated service on loopback.
        let remote = QueueClient::new(url, None, Some(QueueClientOptions { client_options, version }))?;
        Ok(Self { remote, name, settings: settings.clone(), client: client.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// Where it is, without what lets us in.
    pub fn address(&self) -> String {
        let mut url = self.remote.url().clone();
        url.set_query(None);
        url.into()
    }

    /// The queue at this address (`https://account.queue.core.windows.net/incidents`); see [`StorageSettings::at`].
    pub fn at(client: &StorageClient, settings: &StorageSettings, url: &str) -> Result<Self, AzureError> {
        let (settings, name) = settings.at(Service::Queue, url)?;
        Self::new(client, &settings, &name)
    }

    /// Another queue of the same account.
    pub fn beside(&self, name: &str) -> Result<Self, AzureError> {
        Self::new(&self.client, &self.settings, name)
    }

    /// The queue beside it for messages that nobody can work on: `<name>-poison`, as Azure Functions calls it. The end of a
    /// long name makes room.
    pub fn poison(&self) -> Result<Self, AzureError> {
        let kept = self.name.0.get(..LONGEST_NAME - POISON.len()).unwrap_or(&self.name.0);
        self.beside(&format!("{}{POISON}", kept.trim_end_matches('-')))
    }

    /// Leases up to `most` messages (at most [`MOST_MESSAGES`]) for `visibility`: whole seconds, from one second to
    /// [`LONGEST_VISIBILITY`]. None are there if the list is empty. Messages whose answer is lost on the way come back when
    /// that time is over.
    pub async fn receive(&self, most: usize, visibility: Duration) -> Result<Vec<Message>, AzureError> {
        let most = i32::try_from(most.min(MOST_MESSAGES)).unwrap_or_default();
        if most == 0 {
            return Ok(Vec::new());
        }
        let options = QueueClientReceiveMessagesOptions {
            number_of_messages: Some(most),
            visibility_timeout: Some(whole_seconds(visibility).max(1)),
            ..Default::default()
        };
        let (_, _, body) = self.remote.receive_messages(Some(options)).await?.deconstruct();
        messages(body.as_ref())
    }

    /// Leases the message for `visibility` from now on: whole seconds, from none (whoever comes first may have it) to
    /// [`LONGEST_VISIBILITY`].
    pub async fn renew(&self, message: &mut Message, visibility: Duration) -> Result<Lease, AzureError> {
        let (id, receipt) = (&message.id, &message.pop_receipt);
        let answer = self.remote.update_message(id, receipt, whole_seconds(visibility), None).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return lost(error),
        };
        let receipt = answer.headers().get_optional_str(&POP_RECEIPT);
        let receipt = receipt.ok_or_else(|| AzureError::unexpected("the renewed lease has no receipt"))?;
        receipt.clone_into(&mut message.pop_receipt);
        Ok(Lease::Held)
    }

    /// Removes the message. [`Lease::Gone`] is also the answer to a repetition whose first answer was lost on the way.
    pub async fn delete(&self, message: &Message) -> Result<Lease, AzureError> {
        match self.remote.delete_message(&message.id, &message.pop_receipt, None).await {
            Ok(_) => Ok(Lease::Held),
            Err(error) => lost(error),
        }
    }

    /// Puts a message into the queue; twice, if the first answer is lost on the way. Text that XML cannot carry is an error.
    pub async fn put(&self, text: &str, keep: Keep) -> Result<(), AzureError> {
        let text = escaped(text).ok_or_else(|| {
            AzureError::settings("the text has characters that no message can have; encode it in base64")
        })?;
        let xml = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
        let options = QueueClientSendMessageOptions {
            message_time_to_live: Some(match keep {
                Keep::Forever => -1,
                Keep::For(time) => whole_seconds(time).max(1),
            }),
            ..Default::default()
        };
        self.remote.send_message(RequestContent::from(xml.into_bytes()), Some(options)).await?;
        Ok(())
    }

    /// Moves the message into another queue, which is made if it is not there. A crash in the middle leaves it in both. A text
    /// that no new message can have goes there in base64.
    pub async fn set_aside(&self, message: &Message, into: &Self) -> Result<Lease, AzureError> {
        let text = match escaped(&message.text) {
            Some(_) => Cow::Borrowed(message.text.as_str()),
            None => Cow::Owned(BASE64_STANDARD.encode(&message.text)),
        };
        match into.put(&text, Keep::Forever).await {
            Err(error) if *error.kind() == AzureErrorKind::NotFound => {
                into.create().await?;
                into.put(&text, Keep::Forever).await?;
            }
            answer => answer?,
        }
        self.delete(message).await
    }

    /// About how many messages are in the queue, leased ones included.
    pub async fn length(&self) -> Result<u64, AzureError> {
        let answer = self.remote.get_properties(None).await?;
        let count = answer.headers().get_optional_str(&COUNT).and_then(|count| count.trim().parse().ok());
        count.ok_or_else(|| AzureError::unexpected("the queue's properties have no count of messages"))
    }

    /// Makes the queue, if it is not there.
    pub async fn create(&self) -> Result<(), AzureError> {
        match self.remote.create(None).await.map_err(AzureError::from) {
            Err(error) if code_of(&error) != Some("QueueAlreadyExists") => Err(error),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name.0)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("pop_receipt", &"***")
            .field("dequeue_count", &self.dequeue_count)
            .field("text", &self.text)
            .field("inserted", &self.inserted)
            .finish()
    }
}

/// 3 to 63 lower-case letters, digits and single hyphens, a letter or digit first and last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QueueName(String);

impl QueueName {
    fn parse(text: &str) -> Result<Self, AzureError> {
        let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        let letters = text.chars().all(|character| plain(character) || character == '-');
        let hyphens = text.starts_with('-') || text.ends_with('-') || text.contains("--");
        if !(3..=LONGEST_NAME).contains(&text.len()) || !letters || hyphens {
            return Err(AzureError::settings(format!(
                "{text:?} is no queue's name: 3 to 63 lower-case letters, digits and single hyphens between them"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Within what the service takes.
fn whole_seconds(time: Duration) -> i32 {
    i32::try_from(time.min(LONGEST_VISIBILITY).as_secs()).unwrap_or(i32::MAX)
}

/// The messages of an answer, in order.
fn messages(body: &[u8]) -> Result<Vec<Message>, AzureError> {
    let list = Element::parse(body).map_err(|error| AzureError::unexpected(error.to_string()))?;
    list.all("QueueMessage").map(message_of).collect()
}

fn message_of(element: &Element) -> Result<Message, AzureError> {
    let field = |name: &'static str| {
        element.text_of(name).ok_or_else(|| AzureError::unexpected(format!("a message has no {name}")))
    };
    let dequeue_count = field("DequeueCount")?.trim().parse();
    Ok(Message {
        id: field("MessageId")?.to_owned(),
        pop_receipt: field("PopReceipt")?.to_owned(),
        dequeue_count: dequeue_count
            .map_err(|_| AzureError::unexpected("a message's DequeueCount is no number"))?,
        text: element.text_of("MessageText").unwrap_or_default().to_owned(),
        inserted: element
            .text_of("InsertionTime")
            .and_then(|time| jiff::fmt::rfc2822::parse(time.trim()).ok().map(|time| time.timestamp())),
    })
}

/// What a failure says about the lease, if it says anything about it.
fn lost(error: azure_core::Error) -> Result<Lease, AzureError> {
    let error = AzureError::from(error);
    match code_of(&error) {
        Some("MessageNotFound") => Ok(Lease::Gone),
        Some("PopReceiptMismatch") => Ok(Lease::Taken),
        _ => Err(error),
    }
}

fn code_of(error: &AzureError) -> Option<&str> {
    error.answer()?.code.as_deref()
}

#[cfg(test)]
mod tests;
