//! Who runs the notebooks, each in the same environment and with the same kernel.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rnbexec_oracle as oracle;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::case::{Point, Work};
use crate::measure;
use crate::result::Sample;

const PANDAS: &str = include_str!("../requirements.txt");

/// One who can run a notebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// A minimal ZMQ client, the floor; see `bare.py`.
    Bare,
    /// The command line under measurement.
    Rnbexec,
    /// papermill's command line as it is; in a backlog its library, in one process.
    Papermill,
    /// papermill told to write its notebook only at the end.
    PapermillOnce,
}

impl Contender {
    /// In the order of tables.
    pub(crate) const ALL: [Self; 4] = [Self::Bare, Self::Rnbexec, Self::Papermill, Self::PapermillOnce];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bare => "bare kernel",
            Self::Rnbexec => "rnbexec",
            Self::Papermill => "papermill",
            Self::PapermillOnce => "papermill, saving once",
        }
    }
}

/// A folder with a home of its own, and the programs.
pub(crate) struct World {
    folder: TempDir,
    rnbexec: PathBuf,
}

/// A notebook in its place, ready to be run any number of times.
pub(crate) struct Job<'a> {
    world: &'a World,
    point: &'a Point,
    notebook: PathBuf,
}

impl World {
    /// Builds and installs what is not there yet.
    pub(crate) fn new() -> Self {
        // A short path: sockets in it must stay below 108 bytes.
        let folder = tempfile::Builder::new().prefix("rb").tempdir().expect("a temporary folder can be made");
        for name in ["home", "tmp", "out"] {
            fs::create_dir(folder.path().join(name)).expect("a new temporary folder is writable");
        }
        oracle::root();
        Self { folder, rnbexec: rnbexec() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program in this world.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut path = oracle::bin().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let home = self.path("home");
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.folder.path()).env_clear();
        command.envs([
            ("PATH", path),
            ("HOME", home.clone().into()),
            ("TMPDIR", self.path("tmp").into()),
            ("LANG", "C.UTF-8".into()),
            ("JUPYTER_PATH", oracle::jupyter_path().into()),
            ("JUPYTER_RUNTIME_DIR", home.join("runtime").into()),
            ("IPYTHONDIR", home.join("ipython").into()),
        ]);
        command
    }

    pub(crate) fn rnbexec(&self) -> Command {
        self.command(&self.rnbexec)
    }

    pub(crate) fn python(&self, script: &str) -> Command {
        let mut command = self.command(oracle::python());
        command.arg(oracle::workspace().join("tests/bench").join(script));
        command
    }

    /// Whether the contender has what the case takes.
    pub(crate) fn can(&self, contender: Contender, point: &Point) -> bool {
        let asked = || self.rnbexec().args(["batch", "--help"]).output();
        contender != Contender::Rnbexec
            || !matches!(point.work, Work::Backlog(_))
            || asked().is_ok_and(|answer| answer.status.success())
    }

    /// `rnbexec demo` on the first so many incidents.
    fn demo(&self, incidents: usize, folder: &Path) -> Command {
        let mut command = self.rnbexec();
        command.env("XDG_DATA_HOME", data_home()).args([
            "demo",
            "--json",
            "--incidents",
            &incidents.to_string(),
        ]);
        command.arg(folder);
        command
    }

    /// A folder of the demo, with all incidents and their data. The triage notebook's kernel is there then, for papermill too.
    fn incidents(&self) -> PathBuf {
        let folder = self.path("demo");
        if !folder.exists() {
            measure::run(&mut self.demo(1, &folder));
            let mut install = self.rnbexec();
            install
                .env("XDG_DATA_HOME", data_home())
                .env("JUPYTER_DATA_DIR", self.path("home").join(".local/share/jupyter"));
            measure::run(install.args(["kernel", "install", "rnbexec-triage"]));
        }
        folder
    }

    pub(crate) fn prepare<'a>(&'a self, point: &'a Point) -> Job<'a> {
        let notebook = self.path("in.ipynb");
        let text = serde_json::to_vec(&point.notebook).expect("a JSON value is writable");
        fs::write(&notebook, text).expect("the folder is writable");
        if matches!(point.work, Work::Triage(_)) {
            self.incidents();
        }
        Job { world: self, point, notebook }
    }
}

impl Job<'_> {
    /// Runs the notebook and looks whether everything that was printed is there.
    ///
    /// # Panics
    /// When the contender fails, and when rnbexec lost something.
    pub(crate) fn run(&self, contender: Contender) -> Sample {
        let output = self.world.path("out");
        fs::remove_dir_all(&output).and_then(|()| fs::create_dir(&output)).expect("the folder is ours");
        let mut command = self.command(contender, &output);
        if self.point.pandas {
            command.env("PYTHONPATH", pandas());
        }
        let done = measure::run(&mut command);
        if contender == Contender::Bare {
            return Sample::of_bare(&done.stdout);
        }
        if let (Contender::Rnbexec, Work::Triage(incidents)) = (contender, self.point.work) {
            let said: Value = serde_json::from_str(&done.stdout).expect("the demo prints JSON");
            assert_eq!(said["incidents"].as_array().map(Vec::len), Some(incidents), "{said}");
            return Sample {
                seconds: done.wall.as_secs_f64(),
                peak_kib: done.peak_kib,
                complete: true,
                parts: None,
            };
        }
        let printed = self.printed(&output);
        let complete = printed == self.point.printed * self.point.work.runs();
        assert!(
            complete || contender != Contender::Rnbexec,
            "rnbexec kept {printed} characters of {}",
            self.point.printed
        );
        Sample { seconds: done.wall.as_secs_f64(), peak_kib: done.peak_kib, complete, parts: None }
    }

    fn command(&self, contender: Contender, output: &Path) -> Command {
        let world = self.world;
        let file = output.join("0.ipynb");
        let mut command = match (contender, self.point.work) {
            (Contender::Bare, work) => {
                let mut command = world.python("bare.py");
                command.arg(&self.notebook).arg(work.runs().to_string());
                return command;
            }
            (Contender::Rnbexec, Work::Run) => {
                let mut command = world.rnbexec();
                command.arg("run");
                command
            }
            (Contender::Rnbexec, Work::Backlog(_)) => return self.batch(output),
            (Contender::Rnbexec, Work::Triage(incidents)) => {
                return world.demo(incidents, &output.join("demo"));
            }
            (Contender::Papermill | Contender::PapermillOnce, Work::Backlog(_) | Work::Triage(_)) => {
                let mut command = world.python("papermill_loop.py");
                command.arg(&self.notebook).arg(output).arg(self.rows());
                return command;
            }
            (Contender::Papermill, Work::Run) => world.command(oracle::papermill()),
            (Contender::PapermillOnce, Work::Run) => {
                let mut command = world.command(oracle::papermill());
                command.arg("--no-request-save-on-cell-execute");
                command
            }
        };
        // Its bar is drawn even where nobody looks.
        command.arg("--no-progress-bar").arg(&self.notebook).arg(file);
        command
    }

    fn batch(&self, output: &Path) -> Command {
        let mut folder = output.as_os_str().to_owned();
        folder.push("/");
        let mut command = self.world.rnbexec();
        command.args(["batch", "--jobs", "2", "--no-progress-bar"]);
        command.arg(&self.notebook).arg("--each").arg(self.rows()).arg("--output").arg(folder);
        command
    }

    /// The file with the parameters of each run.
    fn rows(&self) -> PathBuf {
        let rows = match self.point.work {
            Work::Run | Work::Backlog(_) => "{}\n".repeat(self.point.work.runs()),
            Work::Triage(incidents) => {
                let demo = self.world.incidents();
                let mut bundles: Vec<PathBuf> = entries(&demo.join("incidents"))
                    .filter(|path| path.extension() == Some("json".as_ref()))
                    .collect();
                bundles.sort();
                let row = |bundle: &PathBuf| {
                    let id = bundle.file_stem().unwrap_or_default().to_string_lossy();
                    let row =
                        json!({"incident_id": id, "incident_bundle": bundle, "data_dir": demo.join("data")});
                    row.to_string() + "\n"
                };
                bundles.iter().take(incidents).map(row).collect()
            }
        };
        let path = self.world.path("rows.jsonl");
        fs::write(&path, rows).expect("the folder is writable");
        path
    }

    /// How many characters the streams of the saved notebooks hold.
    fn printed(&self, folder: &Path) -> usize {
        let mut count = 0;
        let mut printed = 0;
        for path in
            entries(folder).filter(|path| path.extension().is_some_and(|extension| extension == "ipynb"))
        {
            let bytes = fs::read(&path).expect("a notebook just saved");
            let notebook: Value = serde_json::from_slice(&bytes).expect("a saved notebook is JSON");
            let cells = notebook["cells"].as_array().into_iter().flatten();
            let outputs = cells.filter_map(|cell| cell["outputs"].as_array()).flatten();
            printed += outputs.map(|output| length(&output["text"])).sum::<usize>();
            count += 1;
        }
        assert_eq!(count, self.point.work.runs(), "notebooks in {}", folder.display());
        printed
    }
}

/// What lies in a folder of ours.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path())
}

/// Of a text that may be an array of lines.
fn length(text: &Value) -> usize {
    match text {
        Value::String(text) => text.chars().count(),
        Value::Array(lines) => lines.iter().map(length).sum(),
        _ => 0,
    }
}

/// Where the triage notebook's kernel is kept, from one benchmark to the next.
fn data_home() -> PathBuf {
    oracle::cache_dir().join("data")
}

/// The folder of modules that holds pandas.
fn pandas() -> OsString {
    static PANDAS_MODULES: OnceLock<OsString> = OnceLock::new();
    let find = || {
        let lib = oracle::environment("bench", PANDAS, 1, |_| {}).join("lib");
        let version =
            fs::read_dir(&lib).expect("an environment has modules").next().expect("those of its Python");
        version.expect("an entry").path().join("site-packages").into_os_string()
    };
    PANDAS_MODULES.get_or_init(find).clone()
}

/// The path of the built command line: by the profile and in the target folder that this program came from, unless
/// `RNBEXEC_BIN` names a ready one.
fn rnbexec() -> PathBuf {
    if let Some(path) = std::env::var_os("RNBEXEC_BIN") {
        return std::path::absolute(path).expect("a working folder");
    }
    let exe = std::env::current_exe().expect("a program knows its path");
    // <target>/<profile>/<this program>
    let profile_dir = exe.parent().expect("a program lies in a folder");
    let target_dir = profile_dir.parent().expect("a profile's folder lies in the target folder");
    let profile = if profile_dir.ends_with("debug") {
        "dev".into()
    } else {
        profile_dir.file_name().unwrap_or_default().to_owned()
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(oracle::workspace())
        .args(["build", "-p", "rnbexec-cli", "--target-dir"])
        .arg(target_dir);
    let status = cargo.arg("--profile").arg(profile).status().expect("cargo runs, as it started this");
    assert!(status.success(), "rnbexec does not build");
    profile_dir.join(format!("rnbexec{}", std::env::consts::EXE_SUFFIX))
}
