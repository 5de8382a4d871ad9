//! The two ways to make an environment: uv, or `python -m venv` and the pip it brings. Command lines are decided here
//! and run here; nothing else starts an installer.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::Instant;

use super::error::{ProvisionError, diagnose};
use super::requirements::Requirements;
use super::{Progress, ProgressSink};

/// Lines of an installer's output that an error carries.
const TAIL_LINES: usize = 20;

/// How long what an installer left running (a cache for compilers, say) may hold its output open: so long silent, and so long in all.
const SILENCE_AFTER_END: Duration = Duration::from_millis(200);
const OUTPUT_AFTER_END: Duration = Duration::from_secs(2);

/// Variables that would make an installer build into, or read from, somewhere else than the new environment, or leave
/// something out of it.
const MISLEADING: &[&str] = &[
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "PYTHONEXECUTABLE",
    "PYTHONDONTWRITEBYTECODE",
    "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_PYTHON",
    "PIP_REQUIREMENT",
    "PIP_NO_DEPS",
    "PIP_DRY_RUN",
    "UV_PYTHON",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_NO_DEPS",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
];

/// What makes the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Installer {
    /// uv; it finds a Python (the given one, or by version) and fetches one if there is none.
    ///
    /// Unlike pip it leaves compiling to the first import. Where `PYTHONDONTWRITEBYTECODE` is set, as in many containers, every
    /// run would compile again (pandas and matplotlib: three seconds), so there it has to `compile` at once.
    Uv { uv: PathBuf, python: String, compile: bool },
    /// A Python's own venv and pip.
    Venv { python: PathBuf },
}

/// One process to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
}

impl CommandLine {
    pub(super) fn new<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>) -> Self {
        Self { program: program.to_owned(), args: args.into_iter().map(|a| a.as_ref().to_owned()).collect() }
    }
}

impl Installer {
    /// The tool's name, for progress and the record.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Uv { .. } => "uv",
            Self::Venv { .. } => "venv and pip",
        }
    }

    /// Makes the empty environment.
    pub(super) fn create(&self, dir: &Path) -> CommandLine {
        match self {
            Self::Uv { uv, python, .. } => CommandLine::new(
                uv,
                [
                    "venv".as_ref(),
                    "--no-project".as_ref(),
                    "--python".as_ref(),
                    OsStr::new(python),
                    dir.as_os_str(),
                ],
            ),
            Self::Venv { python } => {
                CommandLine::new(python, ["-m".as_ref(), "venv".as_ref(), dir.as_os_str()])
            }
        }
    }

    /// Installs the requirements into it. A lock is held to its hashes; dependencies are still resolved, so that a
    /// lock that lacks one is an error and not an environment that fails later.
    pub(super) fn install(&self, env_python: &Path, file: &Path, requirements: &Requirements) -> CommandLine {
        let mut args: Vec<&OsStr> = match self {
            Self::Uv { .. } => {
                vec!["pip".as_ref(), "install".as_ref(), "--python".as_ref(), env_python.as_os_str()]
            }
            Self::Venv { .. } => vec![
                "-m".as_ref(),
                "pip".as_ref(),
                "install".as_ref(),
                "--no-input".as_ref(),
                "--disable-pip-version-check".as_ref(),
            ],
        };
        if let Self::Uv { compile: true, .. } = self {
            args.push("--compile-bytecode".as_ref());
        }
        if requirements.is_locked() {
            args.push("--require-hashes".as_ref());
        }
        args.extend(["-r".as_ref(), file.as_os_str()]);
        match self {
            Self::Uv { uv, .. } => CommandLine::new(uv, args),
            Self::Venv { .. } => CommandLine::new(env_python, args),
        }
    }
}

/// The variables an installer runs with: the user's (proxy, index, cache), less those that mislead it.
fn variables(vars: &HashMap<OsString, OsString>) -> HashMap<OsString, OsString> {
    let mut vars = vars.clone();
    for name in MISLEADING {
        vars.remove(OsStr::new(name));
    }
    for (name, value) in [("NO_COLOR", "1"), ("UV_NO_PROGRESS", "1"), ("PIP_PROGRESS_BAR", "off")] {
        vars.insert(name.into(), value.into());
    }
    vars
}

/// A command that runs in `cwd` with the installer's variables, in its own process group and killed when dropped.
pub(super) fn command(
    line: &CommandLine,
    vars: &HashMap<OsString, OsString>,
    cwd: &Path,
) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(&line.program);
    command
        .args(&line.args)
        .env_clear()
        .envs(variables(vars))
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// How a finished process ended, in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

/// Runs an installer to its end, telling each line it writes.
pub(super) async fn run(
    step: &str,
    line: &CommandLine,
    vars: &HashMap<OsString, OsString>,
    env_dir: &Path,
    limit: Duration,
    progress: &mut ProgressSink<'_>,
) -> Result<(), ProvisionError> {
    let cwd = env_dir.parent().unwrap_or(env_dir);
    let mut child = command(line, vars, cwd)
        .spawn()
        .map_err(|source| ProvisionError::io("run", &line.program, source))?;
    let mut group = KillGroup(child.id());
    let mut tail = Tail::default();
    let ended = tokio::time::timeout(limit, async {
        let mut out = lines(child.stdout.take());
        let mut err = lines(child.stderr.take());
        let (mut out_open, mut err_open) = (out.is_some(), err.is_some());
        let mut ended = None;
        let mut enough = Instant::now();
        while out_open || err_open {
            let text = tokio::select! {
                text = next(&mut out), if out_open => { out_open = text.is_some(); text }
                text = next(&mut err), if err_open => { err_open = text.is_some(); text }
                status = child.wait(), if ended.is_none() => {
                    ended = Some(status);
                    enough = Instant::now() + OUTPUT_AFTER_END;
                    None
                }
                () = tokio::time::sleep_until(enough.min(Instant::now() + SILENCE_AFTER_END)), if ended.is_some() => break,
            };
            if let Some(text) = text {
                tail.push(&text);
                progress(Progress::Line(text));
            }
        }
        let status = match ended {
            Some(status) => status,
            None => child.wait().await,
        };
        group.0 = None; // reaped: its id may be another's from now on
        status
    })
    .await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(diagnose(step, &describe(status), tail.text(), env_dir)),
        Ok(Err(source)) => Err(ProvisionError::io("run", &line.program, source)),
        Err(_) => Err(ProvisionError::TimedOut { step: step.to_owned(), after: limit, tail: tail.text() }),
    }
}

type Lines<R> = tokio::io::Split<BufReader<R>>;

fn lines<R: AsyncRead + Unpin>(stream: Option<R>) -> Option<Lines<R>> {
    stream.map(|stream| BufReader::new(stream).split(b'\n'))
}

/// The next line, or `None` at the end. A stream that fails has ended: the exit status tells the rest.
async fn next<R: AsyncRead + Unpin>(lines: &mut Option<Lines<R>>) -> Option<String> {
    let bytes = lines.as_mut()?.next_segment().await.ok().flatten()?;
    let text = String::from_utf8_lossy(&bytes);
    // A progress bar rewrites its line: only what it ended on counts.
    Some(text.trim_end().rsplit('\r').next().unwrap_or_default().to_owned())
}

#[derive(Default)]
struct Tail(std::collections::VecDeque<String>);

impl Tail {
    fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    fn text(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Kills an installer that was given up, together with what it started (a build, say).
struct KillGroup(Option<u32>);

impl Drop for KillGroup {
    fn drop(&mut self) {
        let Some(leader) = self.0 else { return };
        #[cfg(unix)]
        if let Some(group) = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw)
            && let Err(error) = rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
        {
            tracing::debug!(leader, %error, "cannot end the installer");
        }
        #[cfg(not(unix))]
        tracing::trace!(leader, "the installer itself is killed by its handle");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &CommandLine) -> String {
        let mut all = vec![line.program.display().to_string()];
        all.extend(line.args.iter().map(|arg| arg.to_string_lossy().into_owned()));
        all.join(" ")
    }

    #[test]
    fn uv_makes_and_fills_an_environment() {
        let uv = Installer::Uv { uv: "/bin/uv".into(), python: ">=3.10".into(), compile: false };
        assert_eq!(text(&uv.create("/d/e".as_ref())), "/bin/uv venv --no-project --python >=3.10 /d/e");
        let line = uv.install("/d/e/bin/python".as_ref(), "/d/e.txt".as_ref(), &Requirements::ipykernel());
        assert_eq!(text(&line), "/bin/uv pip install --python /d/e/bin/python --require-hashes -r /d/e.txt");
    }

    #[test]
    fn uv_compiles_where_python_may_not() {
        let uv = Installer::Uv { uv: "/bin/uv".into(), python: ">=3.10".into(), compile: true };
        let line = uv.install("/e/bin/python".as_ref(), "/e.txt".as_ref(), &Requirements::ipykernel());
        assert!(text(&line).contains(" --compile-bytecode "), "{}", text(&line));
    }

    #[test]
    fn venv_uses_the_new_environments_own_pip() {
        let venv = Installer::Venv { python: "/usr/bin/python3".into() };
        assert_eq!(text(&venv.create("/d/e".as_ref())), "/usr/bin/python3 -m venv /d/e");
        let loose = Requirements::from_file("rich\n").unwrap();
        assert_eq!(
            text(&venv.install("/d/e/bin/python".as_ref(), "/d/e.txt".as_ref(), &loose)),
            "/d/e/bin/python -m pip install --no-input --disable-pip-version-check -r /d/e.txt"
        );
    }

    #[test]
    fn an_installer_keeps_proxy_and_index_but_not_what_misleads_it() {
        let given = [("HTTPS_PROXY", "p"), ("PIP_INDEX_URL", "i"), ("PYTHONPATH", "x"), ("PIP_TARGET", "y")]
            .map(|(name, value)| (name.into(), value.into()));
        let vars = variables(&HashMap::from(given));
        assert!(
            vars.contains_key(OsStr::new("HTTPS_PROXY")) && vars.contains_key(OsStr::new("PIP_INDEX_URL"))
        );
        assert!(!vars.contains_key(OsStr::new("PYTHONPATH")) && !vars.contains_key(OsStr::new("PIP_TARGET")));
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut tail = Tail::default();
        (0..50).for_each(|n| tail.push(&n.to_string()));
        tail.push("  ");
        assert!(tail.text().starts_with("30\n31\n") && tail.text().ends_with("\n49"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_failing_installer_is_told_with_its_last_lines() {
        let line = CommandLine::new("/bin/sh".as_ref(), ["-c", "echo first; echo 'dns error' >&2; exit 7"]);
        let mut told = Vec::new();
        let mut sink = |progress: Progress| told.push(progress);
        let error =
            run("a step", &line, &HashMap::new(), "/tmp/x".as_ref(), Duration::from_secs(20), &mut sink)
                .await
                .unwrap_err();
        assert!(
            matches!(&error, ProvisionError::Network { tail } if tail.contains("dns error")),
            "{error:?}"
        );
        assert!(told.contains(&Progress::Line("first".into())));
    }

    /// A cache for compilers, an ssh master.
    #[cfg(unix)]
    #[tokio::test]
    async fn what_an_installer_leaves_running_is_not_waited_for() {
        let line = CommandLine::new("/bin/sh".as_ref(), ["-c", "sleep 1000 & echo $!"]);
        let mut left = None;
        let mut sink = |progress| {
            if let Progress::Line(line) = progress {
                left = line.parse().ok().and_then(rustix::process::Pid::from_raw);
            }
        };
        let vars = std::env::vars_os().collect();
        let ran = run("a step", &line, &vars, "/tmp/x".as_ref(), Duration::from_mins(1), &mut sink).await;
        rustix::process::kill_process(left.unwrap(), rustix::process::Signal::KILL).unwrap();
        ran.unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn an_installer_that_never_ends_is_ended() {
        let line = CommandLine::new("/bin/sh".as_ref(), ["-c", "sleep 100"]);
        let limit = Duration::from_millis(300);
        let error =
            run("a step", &line, &std::env::vars_os().collect(), "/tmp/x".as_ref(), limit, &mut |_| {})
                .await
                .unwrap_err();
        assert!(matches!(error, ProvisionError::TimedOut { .. }), "{error:?}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_installer_that_is_given_up_is_killed_with_all_it_started() {
        let line = CommandLine::new("/bin/sh".as_ref(), ["-c", "sleep 100 & echo $!; wait"]);
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let mut sink = |progress| {
            if let (Progress::Line(line), Some(tell)) = (progress, tell.take()) {
                tell.send(line).unwrap();
            }
        };
        let vars = std::env::vars_os().collect();
        let started = tokio::select! {
            ended = run("a step", &line, &vars, "/tmp/x".as_ref(), Duration::from_mins(1), &mut sink) => {
                panic!("{ended:?}")
            }
            line = told => line.unwrap(),
        };
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{started}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        assert!(started.parse::<u32>().is_ok(), "{started:?}");
        while alive() {
            assert!(std::time::Instant::now() < deadline, "process {started} is left");
            tokio::task::yield_now().await;
        }
    }
}
