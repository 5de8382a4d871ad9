//! Kernels for a program that runs many notebooks: forked instead of started, and prepared while others execute.
//!
//! What comes of a notebook does not depend on how its kernel came to be. A kernel serves one run and is never used twice: what is
//! kept ready has executed nothing.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use crate::fork_server::ForkServers;
use crate::kernel::{Kernel, LaunchError, LaunchOptions};
use crate::kernelspec::Kernelspec;
use crate::launcher::Launcher;
use crate::process::{OutputSink, OutputStream};
use crate::start::{Forks, Plan};

/// How much of what a kernel's process writes is kept until somebody uses the kernel, in bytes.
const KEPT_OUTPUT: usize = 64 << 10;

/// What a pool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Fork ipykernels from a process that has imported what they need, where that can be had (Linux). Others, and all elsewhere, are
    /// started as ever.
    pub fork: bool,
    /// How many kernels are prepared ahead while more are expected (see [`KernelPool::expect`]).
    pub spares: usize,
}

impl Default for PoolOptions {
    /// Forks, and prepares one kernel ahead.
    fn default() -> Self {
        Self { fork: true, spares: 1 }
    }
}

/// Launches kernels for a program that needs many. Share one among all runs; [`KernelPool::close`] it, or drop it, to end what it
/// prepared. A kernel that was handed out lives on.
pub struct KernelPool {
    options: PoolOptions,
    servers: ForkServers,
    ahead: Mutex<Ahead>,
}

impl fmt::Debug for KernelPool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KernelPool").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a program wants next from its pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// No kernel, as far as it knows.
    #[default]
    Nothing,
    /// A kernel like the one that was asked for last.
    Alike,
    /// Such a kernel, save that it works in this folder, which is there.
    In(PathBuf),
}

#[derive(Default)]
struct Ahead {
    expected: Expected,
    /// The oldest first.
    spares: Vec<Spare>,
}

/// A kernel that is ready, or about to be.
struct Spare {
    kind: Kind,
    making: Making,
    output: Arc<LateSink>,
}

/// The task that prepares a kernel; it ends when nobody wants the kernel any more.
struct Making(JoinHandle<Result<Kernel, LaunchError>>);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All that decides what a kernel is, before it has executed anything.
#[derive(Clone, PartialEq)]
struct Kind {
    spec: Kernelspec,
    cwd: Option<PathBuf>,
    base_env: HashMap<OsString, OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    runtime_dir: Option<PathBuf>,
    launcher: Launcher,
    extra_arguments: Vec<String>,
    imports: Vec<String>,
}

impl Kind {
    fn of(spec: &Kernelspec, options: &LaunchOptions, imports: &[String]) -> Self {
        let LaunchOptions {
            cwd,
            base_env,
            env,
            start_timeout: _,
            runtime_dir,
            launcher,
            on_output: _,
            extra_arguments,
            // A contained kernel is neither forked nor prepared.
            containment: _,
            contain_command: _,
            registrar: _,
        } = options;
        Self {
            spec: spec.clone(),
            cwd: cwd.clone(),
            base_env: base_env.clone(),
            env: env.clone(),
            runtime_dir: runtime_dir.clone(),
            launcher: *launcher,
            extra_arguments: extra_arguments.clone(),
            imports: imports.to_vec(),
        }
    }
}

impl KernelPool {
    /// A pool without kernels.
    pub fn new(options: PoolOptions) -> Self {
        Self { options, servers: ForkServers::default(), ahead: Mutex::default() }
    }

    /// Says what will be wanted soon. With each kernel that is handed out, the next is prepared; it waits for whoever wants such a one,
    /// until [`close`](Self::close). At first nothing is expected.
    pub fn expect(&self, expected: Expected) {
        self.ahead().expected = expected;
    }

    /// Ends what was prepared, and prepares no more. When this returns, nothing of it is left.
    pub async fn close(&self) {
        let spares = {
            let mut ahead = self.ahead();
            ahead.expected = Expected::Nothing;
            std::mem::take(&mut ahead.spares)
        };
        for mut spare in spares {
            spare.making.0.abort();
            // Dropping a kernel waits until all of it is gone.
            drop((&mut spare.making.0).await);
        }
        self.servers.close();
    }

    /// Launches a kernel as [`Kernel::launch`] does, or hands out one that was prepared for the same request. `imports` are modules
    /// that the notebook's cells will import: a forked kernel has imported them already, as far as that makes no difference. A kernel
    /// that is to be contained is always started anew.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub async fn launch(
        &self,
        spec: &Kernelspec,
        options: LaunchOptions,
        imports: &[String],
    ) -> Result<Kernel, LaunchError> {
        if !options.containment.is_open() {
            return Kernel::launch(spec, options).await;
        }
        let kind = Kind::of(spec, &options, imports);
        let kernel = match self.prepared(&kind, options.on_output.as_ref()).await {
            Some(kernel) => kernel,
            None => Kernel::launch_planned(self.plan(&kind, options.clone())).await?,
        };
        self.prepare_next(kind, options);
        Ok(kernel)
    }

    /// Takes what was prepared for such a request. If it could not be prepared, has died since or would not be forked any more, there is
    /// nothing.
    async fn prepared(&self, kind: &Kind, output: Option<&OutputSink>) -> Option<Kernel> {
        let mut spare = {
            let mut ahead = self.ahead();
            let at = ahead.spares.iter().position(|spare| spare.kind == *kind)?;
            ahead.spares.remove(at)
        };
        let mut kernel = (&mut spare.making.0).await.ok()?.ok()?;
        let descent = kernel.descent().cloned();
        let checked = async {
            match &descent {
                Some(descent) => descent.check().await,
                None => Ok(()),
            }
        };
        // It may have died, or hang, since it was ready; and what it has imported may be something else by now.
        let (info, checked) = tokio::join!(kernel.kernel_info(), checked);
        info?;
        if let Err(error) = checked {
            tracing::debug!(kernel = kind.spec.name, %error, "a prepared kernel is not handed out");
            return None;
        }
        spare.output.attach(output);
        Some(kernel)
    }

    fn prepare_next(&self, mut kind: Kind, options: LaunchOptions) {
        let mut ahead = self.ahead();
        match &ahead.expected {
            Expected::Nothing => return,
            Expected::Alike => {}
            Expected::In(folder) => kind.cwd = Some(folder.clone()),
        }
        if ahead.spares.iter().filter(|spare| spare.kind == kind).count() >= self.options.spares {
            return;
        }
        // For another kind than is wanted now.
        let unwanted = (ahead.spares.len() >= self.options.spares).then(|| ahead.spares.remove(0));
        let output = Arc::<LateSink>::default();
        let sink = Arc::clone(&output);
        let on_output: OutputSink = Arc::new(move |stream, bytes| sink.take(stream, bytes));
        let options = LaunchOptions { cwd: kind.cwd.clone(), on_output: Some(on_output), ..options };
        let plan = self.plan(&kind, options);
        let making = Making(tokio::spawn(Kernel::launch_planned(plan)));
        ahead.spares.push(Spare { kind, making, output });
        drop(ahead);
        drop(unwanted);
    }

    fn plan(&self, kind: &Kind, options: LaunchOptions) -> Plan {
        let forks = Forks { servers: self.servers.clone(), imports: kind.imports.clone() };
        Plan { spec: kind.spec.clone(), options, forks: self.options.fork.then_some(forks) }
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the process of a prepared kernel writes, until it is known who wants to know.
#[derive(Default)]
struct LateSink(Mutex<Late>);

enum Late {
    Kept(Vec<(OutputStream, Vec<u8>)>),
    Attached(Option<OutputSink>),
}

impl Default for Late {
    fn default() -> Self {
        Self::Kept(Vec::new())
    }
}

impl LateSink {
    fn take(&self, stream: OutputStream, bytes: &[u8]) {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Late::Attached(Some(sink)) => sink(stream, bytes),
            Late::Attached(None) => {}
            Late::Kept(kept) => {
                if kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < KEPT_OUTPUT {
                    kept.push((stream, bytes.to_vec()));
                }
            }
        }
    }

    fn attach(&self, sink: Option<&OutputSink>) {
        let mut late = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Late::Kept(kept), Some(sink)) = (&*late, sink) {
            for (stream, bytes) in kept {
                sink(*stream, bytes);
            }
        }
        *late = Late::Attached(sink.cloned());
    }
}
