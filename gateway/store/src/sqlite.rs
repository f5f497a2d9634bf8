//! The store of a single gateway: one SQLite file.

use std::{path::Path, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::{
    Row as _, SqlSafeStr as _, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{RecordKey, Store, StoreError, with_caught};
use shoal_consensus::reputation::Record;

/// Seconds by which a record may be older than the newest: without changes for this long, it has decayed to
/// the prior many times over.
const RECORD_AGE_MAX: u64 = 180 * 86_400;

/// Seconds between the newest record and a start that are believed: more is a gateway that was off, or a
/// clock that was wrong. Neither makes a record worse.
const GAP_MAX: u64 = 7 * 86_400;

/// Seconds by which the newest record may be ahead of the clock.
const AHEAD_MAX: u64 = 86_400;

/// Records at most, some 130 MB. Beyond it those that have not changed for longest go.
const RECORDS_MAX: u64 = 10_000;

/// Records that are deleted at once, so that it happens seldom.
const RECORDS_SLACK: u64 = 100;

/// How long a transaction waits for the lock: longer than any of the gateway's own transactions. A
/// second process that writes to the same file is not supported.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Records in a file, in write-ahead mode so that reading never waits for writing.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pool: SqlitePool,
    records_max: u64,
}

impl Sqlite {
    /// Opens or creates the file at `path`, migrates its tables, and deletes records that are much older than
    /// the newest. `now_seconds` is Unix time: if the newest record is far from it, the times of all records
    /// are moved, so that a clock that is wrong once costs none.
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
        let store = Self { pool, records_max: RECORDS_MAX };
        if let Some(newest) = store.move_times(now_seconds).await? {
            sqlx::query("DELETE FROM standing WHERE updated_seconds < ?")
                .bind(to_i64(newest.saturating_sub(RECORD_AGE_MAX)))
                .execute(&store.pool)
                .await?;
        }
        Ok(store)
    }

    /// Moves the times of all records if that of the newest is not near `now_seconds`. Returns the newest;
    /// None without records.
    async fn move_times(&self, now_seconds: u64) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query("SELECT max(updated_seconds) FROM standing");
        let newest: Option<i64> = row.fetch_one(&self.pool).await?.try_get(0)?;
        let Some(newest) = newest.and_then(|newest| u64::try_from(newest).ok()) else {
            return Ok(None);
        };
        let earliest = now_seconds.saturating_sub(GAP_MAX);
        if (earliest..=now_seconds.saturating_add(AHEAD_MAX)).contains(&newest) {
            return Ok(Some(newest));
        }
        let newest_after = newest.clamp(earliest, now_seconds);
        tracing::warn!(
            days = newest_after.abs_diff(newest) / 86_400,
            "the gateway was off for long, or its clock is or was wrong: the times of the members' records are moved"
        );
        // 0 means never.
        sqlx::query(
            "UPDATE standing SET updated_seconds = max(1, updated_seconds + ?1), record = json_set( \
             record, '$.updated_seconds', max(1, updated_seconds + ?1)) WHERE updated_seconds > 0",
        )
        .bind(to_i64(newest_after).saturating_sub(to_i64(newest)))
        .execute(&self.pool)
        .await?;
        Ok(Some(newest_after))
    }

    /// Deletes the records that have not changed for longest, if there are too many.
    async fn bound_records(&self, transaction: &mut SqliteConnection) -> Result<(), StoreError> {
        let count = sqlx::query("SELECT count(*) FROM standing").fetch_one(&mut *transaction);
        let excess = count.await?.try_get::<i64, _>(0)?.saturating_sub(to_i64(self.records_max));
        if excess > 0 {
            sqlx::query(
                "DELETE FROM standing WHERE (node, digest) IN \
                 (SELECT node, digest FROM standing ORDER BY updated_seconds LIMIT ?)",
            )
            .bind(excess.saturating_add(to_i64(RECORDS_SLACK)))
            .execute(transaction)
            .await?;
        }
        Ok(())
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
        let times_caught = sqlx::query(
            "SELECT max(json_extract(record, '$.caught')) FROM standing WHERE node = ?",
        )
        .bind(key.node.0.as_slice())
        .fetch_one(&self.pool)
        .await?;
        let times_caught: Option<i64> = times_caught.try_get(0)?;
        let record = match row {
            Some(row) => Some(serde_json::from_str(row.try_get(0)?)?),
            None => None,
        };
        let times_caught = times_caught.and_then(|count| u32::try_from(count).ok());
        Ok(with_caught(record, times_caught.unwrap_or(0)))
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
        self.bound_records(&mut transaction).await?;
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
        let now = 1_001 + RECORD_AGE_MAX;
        let records = [(key(1, "aa"), record(7.5, 1_000)), (key(2, "aa"), record(3.0, now))];
        store.save(&records).await.expect("saved");
        let later = Sqlite::open(&file, now).await.expect("the same file");
        assert_eq!(later.load(&key(1, "aa")).await.expect("read"), None);
        assert_eq!(later.load(&key(2, "aa")).await.expect("read"), Some(record(3.0, now)));
    }

    #[tokio::test]
    async fn a_start_with_a_wrong_clock_deletes_no_record_and_makes_none_old() {
        const NOW: u64 = 1_800_000_000;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("s");
        let store = Sqlite::open(&file, NOW).await.expect("a new file");
        let records = [(key(1, "aa"), record(7.5, NOW)), (key(2, "aa"), record(3.0, NOW - 86_400))];
        store.save(&records).await.expect("saved");
        drop(store);
        for clock in [NOW + 2 * RECORD_AGE_MAX, NOW + 60, 1_000, NOW + 120] {
            let store = Sqlite::open(&file, clock).await.expect("the same file");
            for (node, a) in [(1, 7.5), (2, 3.0)] {
                let after = store.load(&key(node, "aa")).await.expect("read").expect("a record");
                assert!((after.writer.a - a).abs() < 1e-9);
                let age = clock.saturating_sub(after.updated_seconds);
                assert!(after.updated_seconds <= clock && age <= GAP_MAX + 86_400, "{clock} {age}");
            }
        }
    }

    #[tokio::test]
    async fn a_node_that_was_caught_stays_caught_with_other_weights() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(&folder.path().join("s"), 0).await.expect("a new file");
        let liar = Record { caught: 1, ..record(1.0, 1_000) };
        let records = [(key(1, "aa"), liar), (key(1, "bb"), record(7.5, 1_000))];
        store.save(&records).await.expect("saved");
        for digest in ["aa", "bb", "cc"] {
            let record = store.load(&key(1, digest)).await.expect("read").expect("a record");
            assert_eq!(record.caught, 1, "{digest}");
        }
        assert_eq!(store.load(&key(2, "aa")).await.expect("read"), None);
    }

    #[tokio::test]
    async fn the_number_of_records_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(&folder.path().join("s"), 0).await.expect("a new file");
        let store = Sqlite { records_max: 150, ..store };
        for n in 0..=150 {
            let record = record(7.5, 1_000 + u64::from(n));
            store.save(&[(key(n, "aa"), record)]).await.expect("saved");
        }
        assert_eq!(store.load(&key(100, "aa")).await.expect("read"), None, "the oldest go");
        assert!(store.load(&key(150, "aa")).await.expect("read").is_some());
        assert!(store.load(&key(101, "aa")).await.expect("read").is_some());
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_a_file_is_a_database_error() {
        let error =
            Sqlite::open(Path::new("/dev/null/nowhere"), 0).await.expect_err("no such folder");
        assert!(matches!(error, StoreError::Database(_)), "{error}");
    }
}
