//! The tables, and how a ledger is brought to their present shape.

use rusqlite::{Connection, TransactionBehavior};

/// Raised with each change; each has its step in [`prepare`].
const VERSION: i64 = 2;

/// Makes the database ready; `false` when a later version wrote it.
pub(super) fn prepare(db: &mut Connection) -> rusqlite::Result<bool> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A result that is recorded stays recorded, also when the machine goes down.
    db.pragma_update(None, "synchronous", "FULL")?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Ok(false);
    }
    if version < 1 {
        transaction.execute_batch(
            "CREATE TABLE cases (
                 run_key TEXT PRIMARY KEY,
                 incident TEXT NOT NULL,      -- ARM id, lower case
                 activity INTEGER,            -- microseconds, as all times
                 step TEXT NOT NULL,
                 failures INTEGER NOT NULL,
                 ending TEXT,
                 due INTEGER NOT NULL,
                 owner TEXT,                  -- see the folder `owners`
                 severity INTEGER NOT NULL,
                 created INTEGER NOT NULL,
                 enlisted INTEGER NOT NULL,
                 updated INTEGER NOT NULL,
                 facts TEXT NOT NULL          -- JSON
             ) STRICT;
             CREATE INDEX cases_by_incident ON cases (incident, activity);
             CREATE INDEX cases_by_step ON cases (step, due);
             CREATE TABLE history (
                 id INTEGER PRIMARY KEY,
                 run_key TEXT NOT NULL,
                 at INTEGER NOT NULL,
                 step TEXT NOT NULL,
                 what TEXT NOT NULL,
                 detail TEXT NOT NULL
             ) STRICT;
             CREATE INDEX history_by_case ON history (run_key, id);
             CREATE TABLE watermarks (source TEXT PRIMARY KEY, mark TEXT NOT NULL) STRICT;",
        )?;
    }
    if version < 2 {
        transaction.execute_batch(
            "CREATE TABLE unbegun (
                 source TEXT NOT NULL,
                 message TEXT NOT NULL,
                 times INTEGER NOT NULL,
                 at INTEGER NOT NULL,
                 PRIMARY KEY (source, message)
             ) STRICT;",
        )?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(true)
}
