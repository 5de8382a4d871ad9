//! Marked secrets, and whoever looks for them in everything that a program leaves and shows.
//!
//! Each kind of secret has a value of its own, so that a find says which one leaks. They are searched for as they are, in halves, and
//! encoded, by code that has nothing to do with the product's.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Scratch;
use crate::wait::POLL;

/// Secrets by their kinds.
#[derive(Clone, Debug, Default)]
pub struct Canaries(Vec<Canary>);

#[derive(Clone, Debug)]
struct Canary {
    kind: String,
    forms: Vec<(&'static str, String)>,
    /// Forms that are looked for in the text without what may stand between two of their lines.
    wrapped: Vec<(&'static str, String)>,
}

impl Canaries {
    /// Adds a secret of a kind. Half of it is a find too: it must be long, and no part of it a word of its own.
    #[must_use]
    pub fn with(mut self, kind: &str, value: &str) -> Self {
        assert!(value.len() >= 16, "halves of the canary {kind} are too short to be found for sure");
        let digits = |byte: u8| format!("{byte:02x}");
        let hex: String = value.bytes().map(digits).collect();
        let json = serde_json::to_string(value).expect("a text is JSON");
        let half = (0..=value.len() / 2).rev().find(|&at| value.is_char_boundary(at)).unwrap_or(0);
        let mut forms = vec![
            ("itself", value.to_owned()),
            ("its beginning", value[..half].to_owned()),
            ("its end", value[half..].to_owned()),
            ("in JSON", json[1..json.len() - 1].to_owned()),
            ("in hexadecimal digits", hex.clone()),
            ("in hexadecimal digits", hex.to_uppercase()),
            ("percent-encoded", utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()),
        ];
        let mut wrapped = Vec::new();
        for once in base64_within(value) {
            forms.push((
                "percent-encoded in base64",
                utf8_percent_encode(&once, NON_ALPHANUMERIC).to_string(),
            ));
            wrapped.extend(base64_within(&once).map(|twice| ("twice in base64", twice)));
            wrapped.push(("in base64", once));
        }
        let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        wrapped.extend(base64_within(&encoded).map(|text| ("in base64, percent-encoded", text)));
        self.0.push(Canary { kind: kind.to_owned(), forms, wrapped });
        self
    }

    /// Checks that none of them is in this.
    ///
    /// # Panics
    /// With the kind and the form of one that is, and what stands around it.
    #[track_caller]
    pub fn expect_none_in(&self, artefact: &str, content: impl AsRef<[u8]>) {
        let text = String::from_utf8_lossy(content.as_ref());
        // Lines as they are, as strings of a program, and as strings of a list in JSON.
        let joined = text.replace("\\n", "").replace(['\n', '\r', ' ', '"', ','], "");
        for Canary { kind, forms, wrapped } in &self.0 {
            let as_it_is = forms.iter().map(|form| (form, text.as_ref()));
            for ((form, value), text) in as_it_is.chain(wrapped.iter().map(|form| (form, joined.as_str()))) {
                if let Some(at) = text.find(value.as_str()) {
                    let around: String = text[..at].chars().rev().take(120).collect();
                    let around: String = around.chars().rev().collect();
                    let after: String = text[at..].chars().take(200).collect();
                    panic!("{kind}, {form}, is in {artefact}: …{around}>>>{after}…");
                }
            }
        }
    }

    /// Checks every file below a folder but those that are `given`; tells how many were read.
    ///
    /// # Panics
    /// As [`expect_none_in`](Self::expect_none_in).
    #[track_caller]
    pub fn expect_none_below(&self, folder: &Path, given: &[&str]) -> usize {
        let mut read = 0;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                read += self.expect_none_below(&path, given);
            } else if !given.contains(&entry.file_name().to_string_lossy().as_ref())
                && let Ok(content) = fs::read(&path)
            {
                self.expect_none_in(&path.display().to_string(), path.as_os_str().as_encoded_bytes());
                self.expect_none_in(&path.display().to_string(), content);
                read += 1;
            }
        }
        read
    }

    /// Looks at the command lines of a world's processes until told to end, and for others in their environments, save that of the
    /// program under test itself, which a test gave it.
    pub fn watch_processes(&self, scratch: &Scratch, in_environments: &Self) -> Watch {
        let (canaries, in_environments, look) = (self.clone(), in_environments.clone(), scratch.looker());
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let watching = thread::spawn(move || {
            let mut seen = 0;
            loop {
                let last = ended.load(Ordering::Relaxed);
                for process in look() {
                    canaries.expect_none_in("the process list", &process.command_line);
                    if !process.is_under_test {
                        seen += 1;
                        in_environments.expect_none_in(&process.command_line, &process.environment);
                    }
                }
                if last {
                    return seen;
                }
                thread::sleep(POLL);
            }
        });
        Watch { end, watching }
    }
}

/// What a value's base64 has for sure, wherever it begins: what the neighbours decide is left out.
fn base64_within(value: &str) -> impl Iterator<Item = String> + use<> {
    let encoded = |before: usize| {
        let bytes = [vec![0; before], value.as_bytes().to_vec()].concat();
        [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| {
            let text = engine.encode(&bytes);
            text[4 * before.div_ceil(3)..text.len() / 4 * 4 - 4].to_owned()
        })
    };
    (0..3).flat_map(encoded).collect::<Vec<_>>().into_iter()
}

/// Somebody who looks at processes.
#[derive(Debug)]
pub struct Watch {
    end: Arc<AtomicBool>,
    watching: JoinHandle<usize>,
}

impl Watch {
    /// Ends it.
    ///
    /// # Panics
    /// When a secret was seen, or no process beside the program itself.
    #[track_caller]
    pub fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        match self.watching.join() {
            Ok(seen) => assert!(seen > 0, "no process was seen"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
