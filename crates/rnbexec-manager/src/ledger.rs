//! What is known about every incident, in one SQLite file: which step each case is at, what was intended and what became of it.
//!
//! Every change is one transaction that is on disk before anything else happens. Any number of managers on one machine may
//! share a ledger: a case belongs to the one that claimed it, for as long as that process lives (it holds a lock on a file of
//! its own, which the system lets go when the process ends, however it ends). Keep the folder on a local disk.

mod owner;
mod schema;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::case::{Ending, Next, State, Step};
use crate::error::Class;
use crate::run_key::RunKey;
use crate::severity::Severity;
use crate::verdict::Verdict;

use owner::Owner;

/// How long a writer waits for another.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The ledger's file in its folder.
const FILE: &str = "ledger.sqlite";

/// For how long it is remembered that a message was handed back: longer than any stays in a queue by default.
const UNBEGUN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// So far the clock may be set back without anybody taking notice: what waits then waits longer by as much.
const CLOCK_ERROR: Duration = Duration::from_mins(1);

/// The ledger cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The folder cannot be made or written to.
    #[error("cannot keep the ledger in {}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// SQLite says no.
    #[error("cannot use the ledger {}", .file.display())]
    Database {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A later version of this program wrote it.
    #[error("the ledger {} was written by a later version of rnbexec", .file.display())]
    Later {
        /// The file.
        file: PathBuf,
    },
}

/// What is known about one case, apart from where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The incident's ARM id, as the source spelled it.
    pub incident_id: String,
    /// Its name, the GUID at the id's end.
    pub name: String,
    /// Its number.
    pub number: Option<u64>,
    /// Its title when it was enlisted, without secrets.
    pub title: String,
    /// Its severity when it was enlisted.
    pub severity: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its last activity when it was enlisted.
    pub activity: Option<Timestamp>,
    /// The name of the source it came from.
    pub source: String,
    /// The source waits to hear of it: without a delivery in hand nothing is done.
    pub needs_delivery: bool,
    /// Somebody asked for it by name.
    pub asked_for: bool,
    /// The route it takes; empty is the default one.
    pub route: String,
    /// The notebook.
    pub notebook: String,
    /// Why it last failed, was skipped or parked.
    #[serde(default)]
    pub reason: Option<String>,
    /// The class of the last failure.
    #[serde(default)]
    pub class: Option<Class>,
    /// What the notebook found.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// The link to the published notebook.
    #[serde(default)]
    pub link: Option<String>,
    /// The link to the published report.
    #[serde(default)]
    pub report: Option<String>,
    /// The severity before and after the policy changed it.
    #[serde(default)]
    pub change: Option<(String, String)>,
    /// Its severity when the case was claimed; `None` when it was claimed by a version that did not say.
    #[serde(default)]
    pub severity_at_claim: Option<String>,
    /// Its etag when its severity was about to be changed; `None` when nothing was, or when nothing came of that.
    #[serde(default)]
    pub changing: Option<String>,
    /// What the policy did not do, and why.
    #[serde(default)]
    pub withheld: Vec<String>,
    /// How long the notebook ran, in seconds.
    #[serde(default)]
    pub seconds: Option<f64>,
}

/// One case in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Which triage.
    pub key: RunKey,
    /// Where it stands.
    pub state: State,
    /// Not before then.
    pub due: Timestamp,
    /// Somebody works on it now.
    pub owned: bool,
    /// When it was enlisted.
    pub enlisted: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
    /// All else.
    pub facts: Facts,
}

/// What became of enlisting an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Enlisted {
    /// It is new.
    New,
    /// This very triage is known.
    Known(Box<Case>),
    /// Another triage of the same incident and the same activity is known (the notebook changed since).
    SameActivity(Box<Case>),
}

/// Why a case begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Somebody asked for it, whatever the incident is like.
    AskedFor,
    /// It was passed over when its turn came, and is to be triaged by now: an incident that was opened again.
    ToBeTriaged,
}

/// One line of a case's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// At which step.
    pub step: Step,
    /// `intent`, `result`, `failure` or `note`.
    pub what: String,
    /// More about it.
    pub detail: String,
}

/// The ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    db: Arc<Mutex<Connection>>,
    file: PathBuf,
    owner: Arc<Owner>,
}

impl Ledger {
    /// Whether there is a ledger in this folder.
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Opens the ledger in this folder, making both when they are not there.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let io = |source| LedgerError::Folder { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let owner = Owner::new(&folder.join("owners")).map_err(io)?;
        let file = folder.join(FILE);
        let error = |source| LedgerError::Database { file: file.clone(), source };
        let mut db = Connection::open(&file).map_err(error)?;
        db.busy_timeout(BUSY_TIMEOUT).map_err(error)?;
        if !prepared(&mut db).map_err(error)? {
            return Err(LedgerError::Later { file });
        }
        Ok(Self { db: Arc::new(Mutex::new(db)), file, owner: Arc::new(owner) })
    }

    /// Does something with the database on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let db = Arc::clone(&self.db);
        let done = tokio::task::spawn_blocking(move || {
            let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
            act(&mut db)
        });
        let done = done.await.expect("a thread that uses the ledger does not panic and is not cancelled");
        done.map_err(|source| LedgerError::Database { file: self.file.clone(), source })
    }

    /// What the source said last.
    pub async fn watermark(&self, source: &str) -> Result<Option<String>, LedgerError> {
        let source = source.to_owned();
        self.with(move |db| {
            db.query_row("SELECT mark FROM watermarks WHERE source = ?1", [source], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// Keeps what the source said, to be given back to it. Only after everything it handed out was enlisted.
    pub async fn keep_watermark(&self, source: &str, mark: &str) -> Result<(), LedgerError> {
        let (source, mark) = (source.to_owned(), mark.to_owned());
        self.with(move |db| {
            db.execute(
                "INSERT INTO watermarks (source, mark) VALUES (?1, ?2)
                 ON CONFLICT (source) DO UPDATE SET mark = excluded.mark",
                [source, mark],
            )
        })
        .await?;
        Ok(())
    }

    /// Writes down that a message was handed back in good order, whether or not something was begun on its behalf: that it was handed
    /// out says nothing against its incident.
    pub async fn note_unbegun(&self, source: &str, message: &str, now: Timestamp) -> Result<(), LedgerError> {
        let (source, message) = (source.to_owned(), message.to_owned());
        let forgotten = now.checked_sub(UNBEGUN).unwrap_or(Timestamp::MIN);
        self.with(move |db| {
            db.execute("DELETE FROM unbegun WHERE at < ?1", [forgotten.as_microsecond()])?;
            db.execute(
                "INSERT INTO unbegun (source, message, times, at) VALUES (?1, ?2, 1, ?3)
                 ON CONFLICT (source, message) DO UPDATE SET times = times + 1, at = excluded.at",
                params![source, message, now.as_microsecond()],
            )
        })
        .await?;
        Ok(())
    }

    /// How often a message was handed back in good order.
    pub async fn unbegun(&self, source: &str, message: &str) -> Result<u32, LedgerError> {
        let key = [source.to_owned(), message.to_owned()];
        self.with(move |db| {
            let times = "SELECT times FROM unbegun WHERE source = ?1 AND message = ?2";
            Ok(db.query_row(times, key, |row| row.get(0)).optional()?.unwrap_or_default())
        })
        .await
    }

    /// Whether some triage of this incident as of this activity is known.
    pub async fn knows(&self, incident_id: &str, activity: Option<Timestamp>) -> Result<bool, LedgerError> {
        let incident = incident_id.to_lowercase();
        self.with(move |db| {
            db.query_row(
                "SELECT EXISTS (SELECT 1 FROM cases WHERE incident = ?1 AND activity IS ?2)",
                params![incident, activity.map(Timestamp::as_microsecond)],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Writes a new case down. Older triages of the same incident that nobody began are dropped for it.
    ///
    /// Unless `again`, an incident with the same activity is not enlisted twice, whatever its notebook is by now.
    pub async fn enlist(
        &self,
        key: RunKey,
        facts: Facts,
        again: bool,
        now: Timestamp,
    ) -> Result<Enlisted, LedgerError> {
        self.with(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(case) = select_one(&transaction, "run_key = ?1", [key.as_str()])? {
                return Ok(Enlisted::Known(Box::new(case)));
            }
            let incident = facts.incident_id.to_lowercase();
            let activity = facts.activity.map(Timestamp::as_microsecond);
            if !again
                && let Some(case) = select_one(
                    &transaction,
                    "incident = ?1 AND activity IS ?2 ORDER BY enlisted DESC",
                    params![incident, activity],
                )?
            {
                return Ok(Enlisted::SameActivity(Box::new(case)));
            }
            let older = select(
                &transaction,
                "incident = ?1 AND step = 'claim' AND owner IS NULL AND failures = 0",
                [&incident],
            )?;
            for case in older {
                let reason = "the incident moved on before its turn came";
                let facts = Facts { reason: Some(reason.to_owned()), ..case.facts };
                transaction.execute(
                    "UPDATE cases SET step = 'done', ending = 'skipped', facts = ?2, updated = ?3 WHERE run_key = ?1",
                    params![case.key.as_str(), json(&facts), now.as_microsecond()],
                )?;
                note(&transaction, &case.key, now, Step::Done, "note", reason)?;
            }
            transaction.execute(
                "INSERT INTO cases
                 (run_key, incident, activity, step, failures, ending, due, owner, severity, created, enlisted, updated, facts)
                 VALUES (?1, ?2, ?3, ?4, 0, NULL, ?5, NULL, ?6, ?7, ?5, ?5, ?8)",
                params![
                    key.as_str(),
                    incident,
                    activity,
                    State::NEW.step.as_str(),
                    now.as_microsecond(),
                    rank(&facts.severity),
                    facts.created.unwrap_or(now).as_microsecond(),
                    json(&facts),
                ],
            )?;
            transaction.commit()?;
            Ok(Enlisted::New)
        })
        .await
    }

    /// The cases that could be worked on now, the most urgent first: by severity, then by age. A case that the source waits
    /// for is only among them when its message is in hand. One that was last written at a time that is yet to come waited by
    /// a clock that was wrong: it is due.
    pub async fn claimable(&self, now: Timestamp, delivered: &[RunKey]) -> Result<Vec<Case>, LedgerError> {
        let delivered = serde_json::json!(delivered).to_string();
        let wrong = now.checked_add(CLOCK_ERROR).unwrap_or(now);
        self.with(move |db| {
            select(
                db,
                "step NOT IN ('done', 'needs-human') AND owner IS NULL
                 AND CASE WHEN json_extract(facts, '$.needs_delivery')
                          THEN run_key IN (SELECT value FROM json_each(?2)) ELSE due <= ?1 OR updated > ?3 END
                 ORDER BY severity DESC, created, run_key LIMIT 1000",
                params![now.as_microsecond(), delivered, wrong.as_microsecond()],
            )
        })
        .await
    }

    /// When the next case that waits, and waits for no message, is due after `now`.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, LedgerError> {
        self.with(move |db| {
            let due: Option<i64> = db.query_row(
                "SELECT min(due) FROM cases WHERE step NOT IN ('done', 'needs-human') AND owner IS NULL
                 AND due > ?1 AND NOT json_extract(facts, '$.needs_delivery')",
                [now.as_microsecond()],
                |row| row.get(0),
            )?;
            Ok(due.map(time))
        })
        .await
    }

    /// Takes a case for this process. `None` when somebody else has it, or another triage of the same incident.
    pub async fn claim(&self, key: &RunKey, now: Timestamp) -> Result<Option<Case>, LedgerError> {
        let (key, owner) = (key.clone(), self.owner.id().to_owned());
        self.with(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let taken = transaction.execute(
                "UPDATE cases SET owner = ?2, updated = ?3 WHERE run_key = ?1 AND owner IS NULL
                 AND step NOT IN ('done', 'needs-human')
                 AND NOT EXISTS (SELECT 1 FROM cases other WHERE other.incident = cases.incident
                                 AND other.owner IS NOT NULL)",
                params![key.as_str(), owner, now.as_microsecond()],
            )?;
            let case = match taken {
                0 => None,
                _ => select_one(&transaction, "run_key = ?1", [key.as_str()])?,
            };
            transaction.commit()?;
            Ok(case)
        })
        .await
    }

    /// Gives a case back without having changed it.
    pub async fn give_back(&self, key: &RunKey) -> Result<(), LedgerError> {
        let (key, owner) = (key.clone(), self.owner.id().to_owned());
        self.with(move |db| {
            db.execute(
                "UPDATE cases SET owner = NULL WHERE run_key = ?1 AND owner = ?2",
                [key.as_str(), owner.as_str()],
            )
        })
        .await?;
        Ok(())
    }

    /// Frees the cases of processes that are gone, and returns how many there were.
    pub async fn recover(&self, now: Timestamp) -> Result<usize, LedgerError> {
        let owners = self.owner.folder().to_owned();
        self.with(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let known: Vec<String> = transaction
                .prepare("SELECT DISTINCT owner FROM cases WHERE owner IS NOT NULL")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut freed = 0;
            for owner in known.iter().filter(|owner| !owner::lives(&owners, owner)) {
                for case in select(&transaction, "owner = ?1", [owner])? {
                    let text = "the manager that worked on it ended without a word";
                    note(&transaction, &case.key, now, case.state.step, "note", text)?;
                }
                // All that is left to do is to delete a message, which may have been done: it may never come again. If it
                // does, it finds its case at its end.
                transaction.execute(
                    "UPDATE cases SET facts = json_set(facts, '$.needs_delivery', json('false'))
                     WHERE owner = ?1 AND step = 'acknowledge'",
                    [owner],
                )?;
                freed += transaction.execute("UPDATE cases SET owner = NULL WHERE owner = ?1", [owner])?;
            }
            transaction.commit()?;
            owner::sweep(&owners);
            Ok(freed)
        })
        .await
    }

    /// Writes down what is newly known of a case in hand.
    pub async fn keep_facts(&self, key: &RunKey, facts: &Facts) -> Result<(), LedgerError> {
        let (key, facts) = (key.clone(), json(facts));
        self.with(move |db| {
            db.execute("UPDATE cases SET facts = ?2 WHERE run_key = ?1", [key.as_str(), &facts])
        })
        .await?;
        Ok(())
    }

    /// Writes down that a step is about to be done.
    pub async fn intend(&self, key: &RunKey, step: Step, now: Timestamp) -> Result<(), LedgerError> {
        let key = key.clone();
        self.with(move |db| note(db, &key, now, step, "intent", "")).await
    }

    /// Writes down what became of a step, and what is next. A case that waits or is over belongs to nobody.
    pub async fn record(
        &self,
        key: &RunKey,
        at: Step,
        next: Next,
        facts: &Facts,
        what: Outcome<'_>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let (key, facts) = (key.clone(), json(facts));
        let (word, detail) = match what {
            Outcome::Result(detail) => ("result", detail.to_owned()),
            Outcome::Failure(detail) => ("failure", detail.to_owned()),
        };
        let due = now.checked_add(next.wait.unwrap_or_default()).unwrap_or(now);
        let freed = next.wait.is_some() || next.state.step.is_final();
        self.with(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            note(&transaction, &key, now, at, word, &detail)?;
            transaction.execute(
                "UPDATE cases SET step = ?2, failures = ?3, ending = ?4, due = ?5, facts = ?6, updated = ?7,
                 owner = CASE WHEN ?8 THEN NULL ELSE owner END WHERE run_key = ?1",
                params![
                    key.as_str(),
                    next.state.step.as_str(),
                    next.state.failures,
                    next.state.ending.map(Ending::as_str),
                    due.as_microsecond(),
                    facts,
                    now.as_microsecond(),
                    freed,
                ],
            )?;
            transaction.commit()
        })
        .await
    }

    /// All cases, the latest first.
    pub async fn cases(&self) -> Result<Vec<Case>, LedgerError> {
        self.with(|db| select(db, "1 ORDER BY updated DESC, run_key", [])).await
    }

    /// The cases of an incident, the latest first: by name, ARM id (both without case), number or run key.
    pub async fn cases_of(&self, incident: &str) -> Result<Vec<Case>, LedgerError> {
        let wanted = incident.trim().to_lowercase();
        let number = wanted.trim_start_matches('#').parse::<u64>().ok();
        let mut cases = self.cases().await?;
        cases.retain(|case| {
            let facts = &case.facts;
            facts.incident_id.to_lowercase() == wanted
                || facts.name.to_lowercase() == wanted
                || case.key.as_str() == wanted
                || (number.is_some() && facts.number == number)
        });
        Ok(cases)
    }

    /// A case as it is now.
    pub async fn case(&self, key: &RunKey) -> Result<Option<Case>, LedgerError> {
        let key = key.clone();
        self.with(move |db| select_one(db, "run_key = ?1", [key.as_str()])).await
    }

    /// What happened to a case, in order.
    pub async fn history(&self, key: &RunKey) -> Result<Vec<Entry>, LedgerError> {
        let key = key.clone();
        self.with(move |db| {
            db.prepare("SELECT at, step, what, detail FROM history WHERE run_key = ?1 ORDER BY id")?
                .query_map([key.as_str()], |row| {
                    Ok(Entry {
                        at: time(row.get(0)?),
                        step: step(row, 1)?,
                        what: row.get(2)?,
                        detail: row.get(3)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Begins a case again at `step`, as if it had never failed. `false` when somebody works on it, or there is none.
    pub async fn begin_again(
        &self,
        key: &RunKey,
        at: Step,
        why: Again,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let key = key.clone();
        self.with(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(mut case) = select_one(&transaction, "run_key = ?1 AND owner IS NULL", [key.as_str()])?
            else {
                return Ok(false);
            };
            // Nobody's message stands behind it any more.
            case.facts.needs_delivery = false;
            case.facts.asked_for |= why == Again::AskedFor;
            case.facts.reason = None;
            case.facts.class = None;
            let state = case.state.begun_again(at);
            transaction.execute(
                "UPDATE cases SET step = ?2, failures = ?3, ending = ?4, due = ?5, updated = ?5, facts = ?6
                 WHERE run_key = ?1",
                params![
                    key.as_str(),
                    state.step.as_str(),
                    state.failures,
                    state.ending.map(Ending::as_str),
                    now.as_microsecond(),
                    json(&case.facts),
                ],
            )?;
            note(
                &transaction,
                &key,
                now,
                at,
                "note",
                match why {
                    Again::AskedFor => "begun again by hand",
                    Again::ToBeTriaged => "begun again: the incident is to be triaged by now",
                },
            )?;
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    /// Whether the ledger can be written to.
    pub async fn check(&self) -> Result<(), LedgerError> {
        self.with(|db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT INTO watermarks (source, mark) VALUES ('', '') ON CONFLICT DO NOTHING",
                [],
            )?;
            transaction.rollback()
        })
        .await
    }
}

/// Makes the database ready, also when others make it or leave it at the same moment: SQLite waits for a lock on a database that
/// is ready, but not for one that it needs to begin or end the log beside it.
fn prepared(db: &mut Connection) -> rusqlite::Result<bool> {
    let begun = Instant::now();
    loop {
        match schema::prepare(db) {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && begun.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It was done.
    Result(&'a str),
    /// It failed.
    Failure(&'a str),
}

const COLUMNS: &str = "run_key, step, failures, ending, due, owner IS NOT NULL, enlisted, updated, facts";

fn select<P: rusqlite::Params>(db: &Connection, condition: &str, params: P) -> rusqlite::Result<Vec<Case>> {
    db.prepare(&format!("SELECT {COLUMNS} FROM cases WHERE {condition}"))?.query_map(params, case)?.collect()
}

fn select_one<P: rusqlite::Params>(
    db: &Connection,
    condition: &str,
    params: P,
) -> rusqlite::Result<Option<Case>> {
    db.prepare(&format!("SELECT {COLUMNS} FROM cases WHERE {condition}"))?
        .query_map(params, case)?
        .next()
        .transpose()
}

fn case(row: &Row<'_>) -> rusqlite::Result<Case> {
    let key: String = row.get(0)?;
    let key = RunKey::from_str(&key).map_err(|error| unreadable(0, error))?;
    let ending: Option<String> = row.get(3)?;
    let ending = ending.map(|word| parse(3, &word)).transpose()?;
    let facts: String = row.get(8)?;
    Ok(Case {
        key,
        state: State { step: step(row, 1)?, failures: row.get(2)?, ending },
        due: time(row.get(4)?),
        owned: row.get(5)?,
        enlisted: time(row.get(6)?),
        updated: time(row.get(7)?),
        facts: serde_json::from_str(&facts).map_err(|error| unreadable(8, error))?,
    })
}

fn step(row: &Row<'_>, column: usize) -> rusqlite::Result<Step> {
    let word: String = row.get(column)?;
    parse(column, &word)
}

fn parse<T: for<'de> Deserialize<'de>>(column: usize, word: &str) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

fn note(
    db: &Connection,
    key: &RunKey,
    at: Timestamp,
    step: Step,
    what: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO history (run_key, at, step, what, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![key.as_str(), at.as_microsecond(), step.as_str(), what, detail],
    )?;
    Ok(())
}

fn json(facts: &Facts) -> String {
    serde_json::to_string(facts).expect("facts are plain data")
}

fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How urgent a severity is; one nobody knows is looked at after High.
pub(crate) fn rank(severity: &str) -> i64 {
    match Severity::from_str(severity) {
        Ok(severity) => severity as i64,
        Err(_unknown) => Severity::High as i64,
    }
}

#[cfg(test)]
mod tests;
