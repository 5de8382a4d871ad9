//! An Azure Storage queue as a source: any number of managers on any number of machines compete for its messages.
//!
//! A message is leased, renewed while its incident is worked on, and deleted only when everything is done. An identity that
//! may receive and delete but not renew (*Storage Queue Data Message Processor*) is noticed with the first message, before
//! anything is done for it; from then on messages are leased for so long that no renewal is needed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rnbexec_azure::queue::{self, IncidentMessage, LONGEST_VISIBILITY, Message, Queue};
use rnbexec_azure::{AzureError, AzureErrorKind};

use super::{Arrival, Ask, Batch, Delivery, IncidentSource, Lease, Rejected};
use crate::error::Trouble;

/// How a [`QueueSource`] treats messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// For how long a message is leased at a time.
    pub visibility: Duration,
    /// For how long it is leased where leases cannot be renewed: longer than any incident may take. When whoever has it dies,
    /// nobody else gets it earlier.
    pub visibility_without_renewal: Duration,
    /// How often a message is handed out. When it comes once more it is marked as handed out too often.
    pub deliveries: u32,
}

/// A queue whose messages name incidents; see [`IncidentMessage`].
#[derive(Debug)]
pub struct QueueSource {
    queue: Queue,
    poison: Queue,
    settings: QueueSettings,
    renewals: Mutex<Renewals>,
}

impl QueueSource {
    /// The messages of `queue`; those that nobody can work on are moved to `poison`.
    pub fn new(queue: Queue, poison: Queue, settings: QueueSettings) -> Self {
        Self { queue, poison, settings, renewals: Mutex::new(Renewals::Untried) }
    }

    /// Leases the first message of all for long, and then tries whether the lease can be made shorter.
    async fn receive_first(&self) -> Result<Vec<Message>, Trouble> {
        let mut messages = self.receive(1, self.settings.visibility_without_renewal).await?;
        let Some(message) = messages.first_mut() else { return Ok(messages) };
        match self.queue.renew(message, self.settings.visibility).await {
            Ok(queue::Lease::Held) => self.learn(Renewals::Allowed),
            Ok(queue::Lease::Taken | queue::Lease::Gone) => messages.clear(),
            Err(error) if is_forbidden(&error) => self.forbid(),
            // The lease is a long one, and the next message tells.
            Err(error) => tracing::debug!(queue = self.queue.name(), %error, "cannot try to renew a lease"),
        }
        Ok(messages)
    }

    async fn receive(&self, most: usize, visibility: Duration) -> Result<Vec<Message>, Trouble> {
        let received = self.queue.receive(most, visibility).await;
        received.map_err(|error| self.trouble("receive messages of", error))
    }

    fn arrival(&self, message: Message) -> Result<Arrival, Box<(Message, String)>> {
        let reference = match IncidentMessage::parse(&message.text) {
            Ok(reference) => reference,
            Err(unreadable) => return Err(Box::new((message, unreadable.to_string()))),
        };
        let delivery = Delivery {
            message_id: message.id,
            pop_receipt: message.pop_receipt,
            count: message.dequeue_count,
            most: self.settings.deliveries,
            renew_every: self.renew_every(),
            text: message.text,
        };
        Ok(Arrival { reference, incident: None, delivery: Some(delivery), asked_for: false })
    }

    /// Often enough that one renewal may fail.
    fn renew_every(&self) -> Duration {
        let lease = match self.renewals() {
            Renewals::Allowed => self.settings.visibility,
            Renewals::Untried | Renewals::Forbidden => self.settings.visibility_without_renewal,
        };
        (lease / 3).max(Duration::from_millis(100))
    }

    /// Puts a message aside that is no incident. If that fails it comes again, and hides no other meanwhile.
    async fn reject(&self, message: &Message, reason: String) -> Rejected {
        let reason = match self.queue.set_aside(message, &self.poison).await {
            Ok(_) => reason,
            Err(error) => {
                let trouble =
                    Trouble::azure(format!("it cannot be moved to the queue {}", self.poison.name()), error);
                format!("{reason}; {}", trouble.in_full())
            }
        };
        Rejected { what: format!("message {} of the queue {}", message.id, self.queue.name()), reason }
    }

    fn renewals(&self) -> Renewals {
        *self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, renewals: Renewals) {
        *self.renewals.lock().unwrap_or_else(PoisonError::into_inner) = renewals;
    }

    fn forbid(&self) {
        tracing::warn!(
            queue = self.queue.name(),
            visibility = ?self.settings.visibility_without_renewal,
            "the identity may not renew leases (that takes the role Storage Queue Data Contributor); messages are leased for \
             long instead"
        );
        self.learn(Renewals::Forbidden);
    }

    fn trouble(&self, verb: &str, error: AzureError) -> Trouble {
        Trouble::azure(format!("cannot {verb} the queue {}", self.queue.address()), error)
    }
}

#[async_trait]
impl IncidentSource for QueueSource {
    fn name(&self) -> String {
        format!("queue {}", self.queue.address())
    }

    /// Leases as many messages as there is room for. Those that are no incident go to the poison queue at once.
    async fn pending(&self, ask: Ask<'_>) -> Result<Batch, Trouble> {
        let messages = match self.renewals() {
            _ if ask.room == 0 => return Ok(Batch::default()),
            Renewals::Untried => self.receive_first().await?,
            Renewals::Allowed => self.receive(ask.room, self.settings.visibility).await?,
            Renewals::Forbidden => self.receive(ask.room, self.settings.visibility_without_renewal).await?,
        };
        // The service may give fewer than were asked for, but none only when there are none.
        let mut batch = Batch { exhausted: messages.is_empty(), ..Batch::default() };
        for message in messages {
            match self.arrival(message) {
                Ok(arrival) => batch.arrivals.push(arrival),
                Err(unreadable) => {
                    let (message, reason) = *unreadable;
                    batch.rejected.push(self.reject(&message, reason).await);
                }
            }
        }
        Ok(batch)
    }

    async fn renew(&self, delivery: &mut Delivery) -> Result<Lease, Trouble> {
        if self.renewals() == Renewals::Forbidden {
            return Ok(Lease::Held);
        }
        let mut message = message_of(delivery);
        match self.queue.renew(&mut message, self.settings.visibility).await {
            Ok(queue::Lease::Held) => {
                delivery.pop_receipt = message.pop_receipt;
                Ok(Lease::Held)
            }
            Ok(queue::Lease::Taken | queue::Lease::Gone) => Ok(Lease::Lost),
            // The permission was there and is gone; so will be the lease, and the end of the work shows it.
            Err(error) if is_forbidden(&error) => {
                self.forbid();
                Ok(Lease::Held)
            }
            Err(error) => Err(self.trouble("renew the lease of a message of", error)),
        }
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<(), Trouble> {
        match self.queue.delete(&message_of(delivery)).await {
            Ok(queue::Lease::Held | queue::Lease::Gone) => Ok(()),
            Ok(queue::Lease::Taken) => {
                tracing::warn!(
                    queue = self.queue.name(),
                    message = delivery.message_id,
                    "somebody else has received the message meanwhile; the incident will be looked at again"
                );
                Ok(())
            }
            Err(error) => Err(self.trouble("delete a message of", error)),
        }
    }

    async fn release(&self, delivery: &Delivery, wait: Duration) -> Result<(), Trouble> {
        if self.renewals() == Renewals::Forbidden {
            tracing::debug!(queue = self.queue.name(), "a message comes back when its lease ends");
            return Ok(());
        }
        match self.queue.renew(&mut message_of(delivery), wait.min(LONGEST_VISIBILITY)).await {
            Ok(_) => Ok(()),
            Err(error) if is_forbidden(&error) => {
                self.forbid();
                Ok(())
            }
            Err(error) => Err(self.trouble("release a message of", error)),
        }
    }

    async fn park(&self, delivery: &Delivery, reason: &str) -> Result<(), Trouble> {
        let mut owned = delivery.clone();
        // Whoever has the message now decides about it.
        if self.renew(&mut owned).await? == Lease::Lost {
            return Ok(());
        }
        tracing::warn!(
            queue = self.queue.name(),
            poison = self.poison.name(),
            message = delivery.message_id,
            deliveries = delivery.count,
            reason,
            "putting a message aside"
        );
        match self.queue.set_aside(&message_of(&owned), &self.poison).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.trouble(&format!("move a message to {} from", self.poison.name()), error)),
        }
    }
}

fn message_of(delivery: &Delivery) -> Message {
    Message {
        id: delivery.message_id.clone(),
        pop_receipt: delivery.pop_receipt.clone(),
        dequeue_count: delivery.count,
        text: delivery.text.clone(),
        inserted: None,
    }
}

fn is_forbidden(error: &AzureError) -> bool {
    *error.kind() == AzureErrorKind::PermissionDenied
}

/// Whether the identity may renew leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewals {
    Untried,
    Allowed,
    Forbidden,
}
