//! The loop: take an item when there is room, start its run, wait for whatever happens next.

use std::collections::HashMap;
use std::iter::Peekable;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use rnbexec_kernel::Expected;
use rnbexec_notebook::Notebook;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};

use super::plan::AT_A_TIME;
use super::{
    Batch, BatchEvent, BatchReport, End, Item, Items, OnBatchEvent, Planned, Planner, Scope, Stop,
    fingerprint,
};
use crate::request::Input;
use crate::{Cancel, CancelLevel, RunError, RunEvent, RunRequest, Services, run_notebook};

/// Runs a notebook for every item.
///
/// `cancel` at [`CancelLevel::Drain`] starts nothing new and lets what runs come to its end; above that it stops the runs as
/// it stops a single one. When this returns, no run is left, and the services' pool of kernels, if they have one, is closed.
///
/// # Errors
/// The notebook cannot be read ([`RunError::Read`], [`RunError::Notebook`]): nothing was run. Whatever happens to a single
/// run is told as its [`BatchEvent::Ended`] and counted in the report.
pub async fn run_batch(
    batch: Batch,
    items: Items,
    services: &Services,
    on_event: OnBatchEvent,
    cancel: Cancel,
) -> Result<BatchReport, RunError> {
    let (input, bytes) = read(&batch.request.input, services).await?;
    let shared = Arc::new(Shared {
        notebook: fingerprint::of_notebook(&bytes),
        input,
        services: services.clone(),
        on_event,
        cancel: cancel.clone(),
    });
    let jobs = NonZeroUsize::new(batch.jobs).unwrap_or(NonZeroUsize::MIN);
    let work = Work {
        planner: Planner::new(&batch),
        batch: &batch,
        shared,
        cancel,
        jobs,
        running: JoinSet::new(),
        planned: HashMap::new(),
        report: BatchReport::default(),
    };
    let report = work.through(Source::of(items)).await;
    if let Some(pool) = &services.kernel_pool {
        pool.close().await;
    }
    Ok(report)
}

/// Where items come from, with a look at whether there are more.
enum Source {
    Known(Peekable<Box<dyn Iterator<Item = Item> + Send>>),
    Stream(mpsc::Receiver<Item>),
}

impl Source {
    fn of(items: Items) -> Self {
        match items {
            Items::Known(items) => Self::Known(items.peekable()),
            Items::Stream(items) => Self::Stream(items),
        }
    }

    /// The next item. Cancel-safe.
    async fn next(&mut self) -> Option<Item> {
        match self {
            Self::Known(items) => items.next(),
            Self::Stream(items) => items.recv().await,
        }
    }

    /// Whether one is there already.
    fn has_more(&mut self) -> bool {
        match self {
            Self::Known(items) => items.peek().is_some(),
            Self::Stream(items) => !items.is_empty(),
        }
    }
}

/// Reads the notebook once for all runs, and makes sure that it is one.
async fn read(input: &Input, services: &Services) -> Result<(Input, Bytes), RunError> {
    let (bytes, path) = match input {
        Input::At(location) => {
            let bytes = services.stores.read(location).await.map_err(RunError::Read)?;
            (bytes, Some(location.metadata_text()))
        }
        Input::Bytes { bytes, path } => (bytes.clone(), path.clone()),
    };
    let mut id = String::new;
    Notebook::parse(&bytes, &mut id).map_err(|source| RunError::Notebook {
        path: path.clone().unwrap_or_else(|| "the given notebook".to_owned()),
        source,
    })?;
    Ok((Input::Bytes { bytes: bytes.clone(), path }, bytes))
}

/// What the tasks of all runs have in common.
struct Shared {
    input: Input,
    /// The digest of its bytes.
    notebook: String,
    services: Services,
    on_event: OnBatchEvent,
    cancel: Cancel,
}

struct Work<'a> {
    batch: &'a Batch,
    planner: Planner<'a>,
    shared: Arc<Shared>,
    cancel: Cancel,
    jobs: NonZeroUsize,
    running: JoinSet<Ended>,
    /// What runs, in case its task does not come back.
    planned: HashMap<Id, Arc<Planned>>,
    report: BatchReport,
}

/// What a task leaves of its run.
struct Ended {
    counted: BatchReport,
    concerns_all: bool,
}

impl Work<'_> {
    async fn through(mut self, mut items: Source) -> BatchReport {
        let mut exhausted = false;
        while self.report.stopped.is_none() && !(exhausted && self.running.is_empty()) {
            let room = !exhausted && self.running.len() < self.jobs.get();
            tokio::select! {
                biased;
                () = self.cancel.reached(CancelLevel::Drain) => self.stop(Stop::Asked),
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                item = items.next(), if room => match item {
                    Some(item) => {
                        // A kernel for the next run is prepared while this one executes.
                        if let Some(pool) = &self.shared.services.kernel_pool {
                            let more = items.has_more();
                            pool.expect(if more { Expected::Alike } else { Expected::Nothing });
                        }
                        self.begin(item);
                    }
                    None => exhausted = true,
                },
            }
        }
        while let Some(ended) = self.running.join_next_with_id().await {
            self.ended(ended);
        }
        if !exhausted {
            self.tell_rest(items).await;
        }
        self.report
    }

    fn begin(&mut self, item: Item) {
        let (planned, refusal) = self.planner.plan(item);
        if let Some(refusal) = refusal {
            return self.tell(&planned, &End::Refused(refusal));
        }
        let planned = Arc::new(planned);
        let mut request = RunRequest {
            input: self.shared.input.clone(),
            output: planned.output.clone(),
            parameters: planned.parameters.clone(),
            ..self.batch.request.clone()
        };
        request.fingerprint = Some(fingerprint::of_run(&request, &self.shared.notebook));
        let one = One {
            shared: Arc::clone(&self.shared),
            planned: Arc::clone(&planned),
            scope: self.batch.scope,
            dry_run: self.batch.dry_run,
        };
        let task = self.running.spawn(one.run(request));
        self.planned.insert(task.id(), planned);
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        match ended {
            Ok((id, ended)) => {
                self.planned.remove(&id);
                self.report.add(&ended.counted);
                if ended.concerns_all {
                    self.stop(Stop::Hopeless);
                }
                self.mind_failures();
            }
            Err(error) => {
                if let Some(planned) = self.planned.remove(&error.id()) {
                    self.tell(&planned, &End::Broken(error.to_string()));
                }
            }
        }
    }

    /// Tells what became of an item that has no task.
    fn tell(&mut self, planned: &Planned, end: &End) {
        self.report.count(end);
        (self.shared.on_event)(BatchEvent::Ended { item: planned, end });
        self.mind_failures();
    }

    fn mind_failures(&mut self) {
        let failures = self.report.failed + self.report.refused;
        if self.batch.max_failures.is_some_and(|most| failures >= most.max(1)) {
            self.stop(Stop::Failures);
        }
    }

    fn stop(&mut self, why: Stop) {
        self.report.stopped.get_or_insert(why);
    }

    /// Tells of the items that are there and will not be run.
    async fn tell_rest(&mut self, items: Source) {
        let Source::Known(items) = items else { return };
        for (told, item) in (1..).zip(items) {
            if u64::is_multiple_of(told, AT_A_TIME) {
                tokio::task::yield_now().await;
            }
            let (planned, _) = self.planner.plan(item);
            self.report.count(&End::NotStarted);
            (self.shared.on_event)(BatchEvent::Ended { item: &planned, end: &End::NotStarted });
        }
    }
}

/// One run.
struct One {
    shared: Arc<Shared>,
    planned: Arc<Planned>,
    scope: Scope,
    dry_run: bool,
}

impl One {
    async fn run(self, request: RunRequest) -> Ended {
        let end = self.end(request).await;
        (self.shared.on_event)(BatchEvent::Ended { item: &self.planned, end: &end });
        let mut counted = BatchReport::default();
        counted.count(&end);
        Ended { counted, concerns_all: end.concerns_all() }
    }

    async fn end(&self, request: RunRequest) -> End {
        if self.scope == Scope::Outdated && self.is_done(&request).await {
            return End::UpToDate;
        }
        if self.dry_run {
            return End::WouldRun;
        }
        let Shared { services, on_event, cancel, .. } = self.shared.as_ref();
        on_event(BatchEvent::Started { item: &self.planned });
        let mut tell = |event: RunEvent<'_>| on_event(BatchEvent::Run { item: &self.planned, event });
        match run_notebook(request, services, &mut tell, cancel.clone()).await {
            Ok(report) => End::Ran(Box::new(report)),
            Err(error) => End::Failed(error),
        }
    }

    /// Whether the output is there from an earlier run of the same. What cannot be read is made anew.
    async fn is_done(&self, request: &RunRequest) -> bool {
        let (Some(output), Some(fingerprint)) = (&request.output, &request.fingerprint) else { return false };
        match self.shared.services.stores.read(output).await {
            Ok(bytes) => fingerprint::is_done(&bytes, fingerprint),
            Err(error) => {
                tracing::debug!(%error, "no earlier output");
                false
            }
        }
    }
}
