//! Keeping a message of the source ours while its incident is worked on.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::Trouble;
use crate::source::{Delivery, IncidentSource, Lease};

/// A delivery that is renewed in the background for as long as this lives. When it is lost the work on it is stopped:
/// somebody else has the incident by then.
pub(crate) struct KeptDelivery {
    delivery: Arc<Mutex<Delivery>>,
    lost: watch::Receiver<bool>,
    stop: oneshot::Sender<()>,
    renewing: JoinHandle<()>,
}

impl KeptDelivery {
    /// Renews `delivery` from now on.
    pub(crate) fn new(source: Arc<dyn IncidentSource>, delivery: Delivery) -> Self {
        let every = delivery.renew_every;
        let delivery = Arc::new(Mutex::new(delivery));
        let (told, lost) = watch::channel(false);
        let renewed = Arc::clone(&delivery);
        let (end, mut ended) = oneshot::channel();
        let renewing = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            // The first tick comes at once, when there is nothing to renew yet.
            ticks.tick().await;
            loop {
                // A renewal in flight is waited for: cut off, it would leave us with a receipt that is not valid any more.
                tokio::select! {
                    _ = &mut ended => return,
                    _ = ticks.tick() => {}
                }
                let mut now = lock(&renewed).clone();
                match source.renew(&mut now).await {
                    Ok(Lease::Held) => *lock(&renewed) = now,
                    Ok(Lease::Lost) => break,
                    // The lease holds for a while yet; the next tick may succeed. If it does not, the service says that
                    // the lease is lost, or the acknowledgement does.
                    Err(error) => warn(&error),
                }
            }
            told.send_replace(true);
        });
        Self { delivery, lost, stop: end, renewing }
    }

    /// Nothing more may be done on its behalf.
    pub(crate) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Resolves when it is lost; never, when it is not. Cancel-safe.
    pub(crate) fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut lost = self.lost.clone();
        async move {
            if lost.wait_for(|lost| *lost).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How it stands.
    pub(crate) fn delivery(&self) -> Delivery {
        lock(&self.delivery).clone()
    }

    /// Ends the renewing, and hands the delivery out as it is now, for a last word about it.
    pub(crate) async fn end(self) -> Delivery {
        // Nobody listens any more when the lease was lost.
        let _ended_before = self.stop.send(()).is_err();
        if let Err(error) = self.renewing.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        lock(&self.delivery).clone()
    }
}

fn warn(error: &Trouble) {
    tracing::warn!("cannot renew the lease of a message: {}", error.in_full());
}

fn lock(delivery: &Mutex<Delivery>) -> std::sync::MutexGuard<'_, Delivery> {
    delivery.lock().unwrap_or_else(PoisonError::into_inner)
}
