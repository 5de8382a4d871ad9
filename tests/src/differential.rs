//! The differential oracle: the same notebook with the same command line through papermill and through rnbexec.
//!
//! A [`Case`] is files and a command line. Both programs run in a [`Scratch`] of their own with the same files;
//! `oracle/differential.py` runs papermill (or remembers what it answered), and compares exit codes, the files
//! left and every notebook among them. What rnbexec does otherwise on purpose is a list of named functions there; a case
//! names those it needs with [`Case::differs`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::program::{Done, Running};
use crate::{Book, Scratch, oracle};

/// See the module.
#[derive(Clone, Debug)]
pub struct Case {
    files: BTreeMap<String, Vec<u8>>,
    args: Vec<String>,
    stdin: Option<Vec<u8>>,
    env: BTreeMap<String, String>,
    differs: Vec<&'static str>,
    stdout: bool,
    linked: bool,
}

impl Case {
    /// A run of the notebook, which becomes `in.ipynb`, into `out.ipynb`.
    pub fn new(notebook: &Book) -> Self {
        Self::of_bytes(notebook.to_bytes())
    }

    /// A run of the notebook file below `tests/notebooks`.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn of_file(name: &str) -> Self {
        let path = oracle::workspace().join("tests/notebooks").join(name);
        Self::of_bytes(std::fs::read(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display())))
    }

    /// A run of these bytes as `in.ipynb`.
    pub fn of_bytes(notebook: impl Into<Vec<u8>>) -> Self {
        Self::bare().file("in.ipynb", notebook).args(["in.ipynb", "out.ipynb"])
    }

    /// No files and no arguments yet.
    pub fn bare() -> Self {
        Self {
            files: BTreeMap::new(),
            args: Vec::new(),
            stdin: None,
            env: BTreeMap::new(),
            differs: Vec::new(),
            stdout: false,
            linked: false,
        }
    }

    /// Adds a file to the working directory.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.to_owned(), content.into());
        self
    }

    /// Adds arguments, in papermill's spelling.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Gives the program these bytes on a pipe as standard input.
    #[must_use]
    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(content.into());
        self
    }

    /// Sets an environment variable of both programs.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Expects the deliberate difference of this name, a function in `oracle/differential.py`.
    #[must_use]
    pub fn differs(mut self, name: &'static str) -> Self {
        self.differs.push(name);
        self
    }

    /// Compares standard output as well, as a notebook if it is one.
    #[must_use]
    pub fn stdout(mut self) -> Self {
        self.stdout = true;
        self
    }

    /// Starts rnbexec through a link named `papermill` instead of as `rnbexec run`.
    #[must_use]
    pub fn through_the_name(mut self) -> Self {
        self.linked = true;
        self
    }

    fn place(&self) -> Scratch {
        let scratch = Scratch::new();
        for (name, content) in &self.files {
            scratch.write(name, content);
        }
        scratch
    }

    /// Runs both and compares them; gives rnbexec's run for further looks.
    ///
    /// # Panics
    /// With the differences, when there are any.
    #[track_caller]
    pub fn check(&self) -> (Scratch, Done) {
        self.check_program(crate::rnbexec_path())
    }

    /// As [`Case::check`] for a program that stands in rnbexec's place: the harness tests itself with it.
    ///
    /// # Panics
    /// With the differences, when there are any.
    #[track_caller]
    pub fn check_program(&self, program: &Path) -> (Scratch, Done) {
        let ours = self.place();
        let done = self.run(&ours, program);
        let actual = json!({
            "code": done.code(),
            "stdout": BASE64_STANDARD.encode(&done.stdout),
            "stderr": BASE64_STANDARD.encode(&done.stderr),
            "files": folder(&ours.path()),
            "root": ours.root(),
        });
        let theirs = self.place();
        let answer = ask(&json!({
            "case": self.to_json(&theirs),
            "actual": actual,
            "cache": oracle::cache_dir().join("answers"),
            "digest": oracle::digest(),
        }));
        if let Some(broken) = answer.get("broken") {
            panic!("the oracle could not answer:\n{}", broken.as_str().unwrap_or_default());
        }
        let differences: Vec<&str> =
            answer["differences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(
            differences.is_empty(),
            "rnbexec differs from papermill on {:?}:\n\n{}\n",
            self.args,
            differences.join("\n\n")
        );
        (ours, done)
    }

    fn run(&self, scratch: &Scratch, program: &Path) -> Done {
        let mut command = if self.linked {
            let link = scratch.root().join("papermill");
            std::os::unix::fs::symlink(program, &link).expect("a new folder takes a link");
            scratch.command(link)
        } else {
            let mut command = scratch.command(program);
            command.arg("run");
            command
        };
        command.args(&self.args).envs(&self.env);
        if self.stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut running = Running::start(&mut command);
        if let Some(content) = &self.stdin {
            running.feed(content.clone());
        }
        running.finish(Duration::from_mins(3))
    }

    fn to_json(&self, scratch: &Scratch) -> Value {
        let files: BTreeMap<_, _> =
            self.files.iter().map(|(name, content)| (name, BASE64_STANDARD.encode(content))).collect();
        let mut env: BTreeMap<String, String> = scratch
            .env()
            .into_iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        env.extend(self.env.clone());
        json!({
            "root": scratch.root(),
            "args": self.args,
            "stdin": self.stdin.as_ref().map(|content| BASE64_STANDARD.encode(content)),
            "files": files,
            "env": env,
            "extra_env": self.env,
            "differs": self.differs,
            "compare": if self.stdout { vec!["stdout"] } else { vec![] },
        })
    }
}

fn folder(top: &Path) -> BTreeMap<String, String> {
    fn walk(top: &Path, dir: &Path, found: &mut BTreeMap<String, String>) {
        let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("cannot list {}: {e}", dir.display()));
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(top, &path, found);
            } else {
                let name = path.strip_prefix(top).expect("the walk stays below its top");
                let content =
                    std::fs::read(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
                found.insert(name.to_string_lossy().into_owned(), BASE64_STANDARD.encode(content));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(top, top, &mut found);
    found
}

/// Oracle processes that are idle. Tests run side by side; each takes one for its question, or starts another.
static IDLE: Mutex<Vec<Oracle>> = Mutex::new(Vec::new());

struct Oracle {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Oracle {
    fn start() -> Self {
        let script = oracle::workspace().join("tests/oracle/differential.py");
        let mut process = Command::new(oracle::python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle's Python starts");
        let answers = BufReader::new(process.stdout.take().expect("stdout was asked for"));
        Self { process, answers }
    }
}

fn ask(question: &Value) -> Value {
    let idle = IDLE.lock().expect("no test panics while it holds this lock").pop();
    let mut oracle = idle.unwrap_or_else(Oracle::start);
    let stdin = oracle.process.stdin.as_mut().expect("stdin was asked for");
    writeln!(stdin, "{question}").expect("the oracle listens");
    stdin.flush().expect("the oracle listens");
    let mut line = String::new();
    oracle.answers.read_line(&mut line).expect("the oracle answers in UTF-8");
    let answer = serde_json::from_str(&line).unwrap_or_else(|e| panic!("the oracle answered {line:?}: {e}"));
    IDLE.lock().expect("no test panics while it holds this lock").push(oracle);
    answer
}
