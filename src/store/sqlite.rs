//! The embedded store: one SQLite file in WAL mode, records as JSON beside the few columns that are searched.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    AuditEntry, AuditFilter, AuditLog, ChangeFilter, ChangeStore, StoreError, ThreadStore,
};
use crate::domain::{Change, ChangeId, Message, MessageId, Thread, ThreadId};

/// Schema steps; `PRAGMA user_version` counts those done. Only ever append.
const MIGRATIONS: &[&str] = &[include_str!("sqlite/001_first.sql")];

/// A store in one SQLite database. Clones share the connection.
#[derive(Clone)]
pub struct Sqlite {
    connection: Arc<Mutex<Connection>>,
}

impl Sqlite {
    /// Opens or creates the database file and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer kubemate.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)
            .with_context(|| format!("opening the database {}", path.display()))?;
        Ok(Self::prepare(connection)
            .with_context(|| format!("preparing the database {}", path.display()))?)
    }

    /// A database that lives as long as this value and its clones.
    ///
    /// # Errors
    /// When SQLite has no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory().context("opening a database in memory")?;
        Ok(Self::prepare(connection)?)
    }

    fn prepare(mut connection: Connection) -> anyhow::Result<Self> {
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // a change is told to people once stored: it must survive power loss too
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let known = u32::try_from(MIGRATIONS.len())?;
        if done > known {
            return Err(anyhow!(
                "its schema is version {done} but this kubemate knows only up to {known}; start a newer kubemate or \
                 restore a backup"
            ));
        }
        for step in MIGRATIONS.iter().skip(usize::try_from(done)?) {
            tx.execute_batch(step)?;
        }
        tx.pragma_update(None, "user_version", known)?;
        tx.commit()?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs `work` on the connection, off the async threads.
    async fn with<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || {
            // a poisoned lock only means that another caller panicked: SQLite rolled its transaction back
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .context("waiting for the database")?
    }
}

#[async_trait]
impl ThreadStore for Sqlite {
    async fn put_thread(&self, thread: &Thread) -> Result<(), StoreError> {
        let thread = thread.clone();
        self.with(move |db| {
            db.execute(
                "insert into threads (id, opened_by, updated, data) values (?1, ?2, ?3, ?4)
                 on conflict (id) do update set opened_by = ?2, updated = ?3, data = ?4",
                params![thread.id.0, thread.opened_by, micros(thread.updated), encode(&thread)?],
            )
            .context("storing a thread")?;
            Ok(())
        })
        .await
    }

    async fn thread(&self, id: &ThreadId) -> Result<Option<Thread>, StoreError> {
        let id = id.0.clone();
        self.with(move |db| one(db, "select data from threads where id = ?1", params![id])).await
    }

    async fn threads(&self, actor: Option<&str>, limit: usize) -> Result<Vec<Thread>, StoreError> {
        let actor = actor.map(str::to_owned);
        self.with(move |db| {
            many(
                db,
                "select data from threads where ?1 is null or opened_by = ?1
                 order by updated desc, id limit ?2",
                params![actor, no_limit(limit)],
            )
        })
        .await
    }

    async fn append(&self, mut message: Message) -> Result<Message, StoreError> {
        self.with(move |db| {
            let tx = db
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .context("storing a message")?;
            message.id = tx
                .query_row(
                    "select coalesce(max(id), 0) + 1 from messages where thread = ?1",
                    params![message.thread.0],
                    |row| row.get::<_, i64>(0).map(i64::cast_unsigned),
                )
                .context("numbering a message")?;
            tx.execute(
                "insert into messages (thread, id, data) values (?1, ?2, ?3)",
                params![message.thread.0, message.id.cast_signed(), encode(&message)?],
            )
            .context("storing a message")?;
            tx.commit().context("storing a message")?;
            Ok(message)
        })
        .await
    }

    async fn messages(
        &self,
        thread: &ThreadId,
        after: MessageId,
    ) -> Result<Vec<Message>, StoreError> {
        let thread = thread.0.clone();
        self.with(move |db| {
            many(
                db,
                "select data from messages where thread = ?1 and id > ?2 order by id",
                params![thread, after.cast_signed()],
            )
        })
        .await
    }
}

#[async_trait]
impl ChangeStore for Sqlite {
    async fn put_change(
        &self,
        mut change: Change,
        entry: Option<AuditEntry>,
    ) -> Result<Change, StoreError> {
        self.with(move |db| {
            let both = db.transaction().context("storing a change")?;
            let read = change.version;
            change.version += 1;
            let values = params![
                change.id.0,
                change.thread.0,
                !change.state.is_final(),
                micros(change.created),
                change.version.cast_signed(),
                encode(&change)?,
                read.cast_signed(),
            ];
            let sql = if read == 0 {
                "insert into changes (id, thread, open, created, version, data)
                 select ?1, ?2, ?3, ?4, ?5, ?6 where ?7 = 0 on conflict (id) do nothing"
            } else {
                "update changes set thread = ?2, open = ?3, created = ?4, version = ?5, data = ?6
                 where id = ?1 and version = ?7"
            };
            if both.execute(sql, values).context("storing a change")? == 0 {
                return Err(StoreError::Conflict(format!("change {}", change.id)));
            }
            if let Some(entry) = entry {
                append(&both, &entry)?;
            }
            both.commit().context("storing a change")?;
            Ok(change)
        })
        .await
    }

    async fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError> {
        let id = id.0.clone();
        self.with(move |db| one(db, "select data from changes where id = ?1", params![id])).await
    }

    async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError> {
        let filter = filter.clone();
        self.with(move |db| {
            many(
                db,
                "select data from changes where (?1 is null or thread = ?1) and (not ?2 or open)
                 order by created desc, id limit ?3",
                params![filter.thread.map(|id| id.0), filter.open, no_limit(filter.limit)],
            )
        })
        .await
    }
}

#[async_trait]
impl AuditLog for Sqlite {
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.with(move |db| append(db, &entry)).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        let filter = filter.clone();
        self.with(move |db| {
            many(
                db,
                "select data from audit where ?1 is null or change = ?1 order by seq desc limit ?2",
                params![filter.change.map(|id| id.0), no_limit(filter.limit)],
            )
        })
        .await
    }
}

/// Appends to the audit log.
fn append(db: &Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    db.execute(
        "insert into audit (change, data) values (?1, ?2)",
        params![entry.change.as_ref().map(|id| &id.0), encode(entry)?],
    )
    .context("writing the audit log")?;
    Ok(())
}

fn micros(at: jiff::Timestamp) -> i64 {
    at.as_microsecond()
}

/// SQLite reads a negative limit as none.
fn no_limit(limit: usize) -> i64 {
    if limit == 0 { -1 } else { i64::try_from(limit).unwrap_or(i64::MAX) }
}

fn encode<T: Serialize>(record: &T) -> Result<String, StoreError> {
    Ok(serde_json::to_string(record).context("encoding a record")?)
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    Ok(serde_json::from_str(text).context("decoding a stored record")?)
}

fn one<T: DeserializeOwned>(
    db: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Option<T>, StoreError> {
    db.query_row(sql, values, |row| row.get::<_, String>(0))
        .optional()
        .context("reading the database")?
        .map(|text| decode(&text))
        .transpose()
}

fn many<T: DeserializeOwned>(
    db: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql).context("reading the database")?;
    let rows = statement
        .query_map(values, |row| row.get::<_, String>(0))
        .context("reading the database")?;
    rows.map(|text| decode(&text.context("reading the database")?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a temp dir");
        let path = folder.path().join("kubemate.db");
        drop(Sqlite::open(&path).expect("opens"));
        let db = Connection::open(&path).expect("opens");
        db.pragma_update(None, "user_version", 1000).expect("is written");
        let Err(StoreError::Other(error)) = Sqlite::open(&path) else { panic!("must be refused") };
        assert!(format!("{error:#}").contains("newer kubemate"), "{error:#}");
        let version: u32 =
            db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("is read");
        assert_eq!(version, 1000);
    }
}
