//! The store of a single gateway: one SQLite file.

use std::{path::Path, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::{
    Row as _, SqlSafeStr as _, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{RecordKey, Store, StoreError};
use shoal_consensus::reputation::Record;

/// Age in seconds at which a record is deleted: without changes for this long, it has decayed to the
/// prior many times over.
const RECORD_AGE_MAX: u64 = 180 * 86_400;

/// How long a transaction waits for the lock: longer than any of the gateway's own transactions. A
/// second process that writes to the same file is not supported.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Records in a file, in write-ahead mode so that reading never waits for writing.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pool: SqlitePool,
}

impl Sqlite {
    /// Opens or creates the file at `path`, migrates its tables, and deletes records that are too old
    /// to matter. `now_seconds` is Unix time.
    ///
    /// # Errors
    /// When the file cannot be created or belongs to a newer build.
    pub async fn open(path: &Path, now_seconds: u64) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Safe against a crash of the process; a power cut may cost the last records.
            .synchronous(SqliteSynchronous::Normal)
            // Deleted rows are overwritten: rounds stored by consent contain people's words.
            .pragma("secure_delete", "ON")
            .busy_timeout(LOCK_WAIT);
        let pool = SqlitePoolOptions::new()
            .max_connections(2)
            .acquire_timeout(LOCK_WAIT)
            .connect_with(options)
            .await?;
        migrations().run(&pool).await.map_err(|error| StoreError::Database(error.to_string()))?;
        sqlx::query("DELETE FROM standing WHERE updated_seconds < ?")
            .bind(to_i64(now_seconds.saturating_sub(RECORD_AGE_MAX)))
            .execute(&pool)
            .await?;
        Ok(Self { pool })
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let row = sqlx::query("SELECT record FROM standing WHERE node = ? AND digest = ?")
            .bind(key.node.0.as_slice())
            .bind(&key.digest)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(serde_json::from_str(row.try_get(0)?)?))
    }

    async fn save(&self, records: &[(RecordKey, Record)]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        for (key, record) in records {
            sqlx::query(
                "INSERT INTO standing (node, digest, record, updated_seconds) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (node, digest) DO UPDATE \
                 SET record = excluded.record, updated_seconds = excluded.updated_seconds",
            )
            .bind(key.node.0.as_slice())
            .bind(&key.digest)
            .bind(serde_json::to_string(record)?)
            .bind(to_i64(record.updated_seconds))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

impl Store for Sqlite {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.load(key).boxed()
    }

    fn save<'a>(
        &'a self,
        records: &'a [(RecordKey, Record)],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.save(records).boxed()
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// Every change to the tables, the oldest first. A released migration is never edited.
fn migrations() -> Migrator {
    Migrator::with_migrations(vec![
        migration(1, "standing", include_str!("../../migrations/sqlite/0001_standing.sql")),
        migration(2, "rounds", include_str!("../../migrations/sqlite/0002_rounds.sql")),
    ])
}

fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// Unix time as SQLite stores it.
pub(super) fn to_i64(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use shoal_proto::NodeId;

    use super::*;
    use shoal_consensus::reputation::Beta;

    fn key(node: u8, digest: &str) -> RecordKey {
        RecordKey { node: NodeId([node; 32]), digest: digest.to_owned() }
    }

    fn record(a: f64, updated_seconds: u64) -> Record {
        Record { writer: Beta { a, b: 1.0 }, updated_seconds, ..Record::default() }
    }

    #[tokio::test]
    async fn a_record_survives_a_restart_of_the_gateway() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.sqlite");
        let before = Sqlite::open(&file, 1_000).await.expect("a new file");
        let records = [(key(1, "aa"), record(7.5, 1_000)), (key(2, "aa"), record(3.0, 1_000))];
        before.save(&records).await.expect("saved");
        before.save(&[(key(1, "aa"), record(8.5, 1_001))]).await.expect("saved again");
        drop(before);
        let after = Sqlite::open(&file, 1_002).await.expect("the same file");
        assert_eq!(after.load(&key(1, "aa")).await.expect("read"), Some(record(8.5, 1_001)));
        assert_eq!(after.load(&key(2, "aa")).await.expect("read"), Some(record(3.0, 1_000)));
    }

    #[tokio::test]
    async fn a_node_with_other_weights_has_another_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(&folder.path().join("s"), 0).await.expect("a new file");
        store.save(&[(key(1, "aa"), record(7.5, 1_000))]).await.expect("saved");
        assert_eq!(store.load(&key(1, "bb")).await.expect("read"), None);
    }

    #[tokio::test]
    async fn a_record_that_is_too_old_to_matter_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("s");
        let store = Sqlite::open(&file, 1_000).await.expect("a new file");
        store.save(&[(key(1, "aa"), record(7.5, 1_000))]).await.expect("saved");
        let later = Sqlite::open(&file, 1_001 + RECORD_AGE_MAX).await.expect("the same file");
        assert_eq!(later.load(&key(1, "aa")).await.expect("read"), None);
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_a_file_is_a_database_error() {
        let error =
            Sqlite::open(Path::new("/dev/null/nowhere"), 0).await.expect_err("no such folder");
        assert!(matches!(error, StoreError::Database(_)), "{error}");
    }
}
