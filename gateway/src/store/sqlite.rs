//! The store of a single gateway: one SQLite file.

use std::{path::Path, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::{
    Row as _, SqlSafeStr as _, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Store, StoreError, Who};
use shoal_consensus::reputation::Record;

/// A record untouched for this long has decayed to the prior many times over.
const FORGOTTEN_SECONDS: u64 = 180 * 86_400;

/// Longer than any of our transactions; a second process on the same file is not foreseen.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Records in a file, in write-ahead mode so that reading never waits for writing.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pool: SqlitePool,
}

impl Sqlite {
    /// Opens or makes the file at `path`, brings its tables up to date, and forgets what is too
    /// old to matter. `now_seconds` is Unix time.
    ///
    /// # Errors
    /// When the file cannot be made or belongs to a newer build.
    pub async fn open(path: &Path, now_seconds: u64) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Safe against a crash of the process; a power cut may cost the last records.
            .synchronous(SqliteSynchronous::Normal)
            // What is forgotten is overwritten: rounds kept by consent hold people's words.
            .pragma("secure_delete", "ON")
            .busy_timeout(LOCK_WAIT);
        let pool = SqlitePoolOptions::new()
            .max_connections(2)
            .acquire_timeout(LOCK_WAIT)
            .connect_with(options)
            .await?;
        migrations().run(&pool).await.map_err(|error| StoreError::Database(error.to_string()))?;
        sqlx::query("DELETE FROM standing WHERE updated_seconds < ?")
            .bind(signed(now_seconds.saturating_sub(FORGOTTEN_SECONDS)))
            .execute(&pool)
            .await?;
        Ok(Self { pool })
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    async fn load(&self, who: &Who) -> Result<Option<Record>, StoreError> {
        let row = sqlx::query("SELECT record FROM standing WHERE node = ? AND digest = ?")
            .bind(who.node.0.as_slice())
            .bind(&who.digest)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(serde_json::from_str(row.try_get(0)?)?))
    }

    async fn save(&self, records: &[(Who, Record)]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        for (who, record) in records {
            sqlx::query(
                "INSERT INTO standing (node, digest, record, updated_seconds) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (node, digest) DO UPDATE \
                 SET record = excluded.record, updated_seconds = excluded.updated_seconds",
            )
            .bind(who.node.0.as_slice())
            .bind(&who.digest)
            .bind(serde_json::to_string(record)?)
            .bind(signed(record.updated_seconds))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

impl Store for Sqlite {
    fn load<'a>(&'a self, who: &'a Who) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.load(who).boxed()
    }

    fn save<'a>(&'a self, records: &'a [(Who, Record)]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.save(records).boxed()
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// Every change to the tables, oldest first; one that was released is never edited.
fn migrations() -> Migrator {
    let step = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        step(1, "standing", include_str!("../../migrations/sqlite/0001_standing.sql")),
        step(2, "rounds", include_str!("../../migrations/sqlite/0002_rounds.sql")),
    ])
}

pub(super) fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use shoal_proto::NodeId;

    use super::*;
    use shoal_consensus::reputation::Beta;

    fn who(node: u8, digest: &str) -> Who {
        Who { node: NodeId([node; 32]), digest: digest.to_owned() }
    }

    fn record(a: f64, updated_seconds: u64) -> Record {
        Record { writer: Beta { a, b: 1.0 }, updated_seconds, ..Record::default() }
    }

    #[tokio::test]
    async fn a_record_is_there_after_the_gateway_came_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.sqlite");
        let before = Sqlite::open(&file, 1_000).await.expect("a new file");
        let saved = [(who(1, "aa"), record(7.5, 1_000)), (who(2, "aa"), record(3.0, 1_000))];
        before.save(&saved).await.expect("saved");
        before.save(&[(who(1, "aa"), record(8.5, 1_001))]).await.expect("saved again");
        drop(before);
        let after = Sqlite::open(&file, 1_002).await.expect("the same file");
        assert_eq!(after.load(&who(1, "aa")).await.expect("read"), Some(record(8.5, 1_001)));
        assert_eq!(after.load(&who(2, "aa")).await.expect("read"), Some(record(3.0, 1_000)));
    }

    #[tokio::test]
    async fn a_node_with_other_weights_is_somebody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(&folder.path().join("s"), 0).await.expect("a new file");
        store.save(&[(who(1, "aa"), record(7.5, 1_000))]).await.expect("saved");
        assert_eq!(store.load(&who(1, "bb")).await.expect("read"), None);
    }

    #[tokio::test]
    async fn what_is_too_old_to_matter_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("s");
        let store = Sqlite::open(&file, 1_000).await.expect("a new file");
        store.save(&[(who(1, "aa"), record(7.5, 1_000))]).await.expect("saved");
        let later = Sqlite::open(&file, 1_001 + FORGOTTEN_SECONDS).await.expect("the same file");
        assert_eq!(later.load(&who(1, "aa")).await.expect("read"), None);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_is_a_named_error() {
        let error =
            Sqlite::open(Path::new("/dev/null/nowhere"), 0).await.expect_err("no such folder");
        assert!(matches!(error, StoreError::Database(_)), "{error}");
    }
}
