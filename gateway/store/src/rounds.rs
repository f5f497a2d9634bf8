//! Rounds stored by consent: the only place where prompts and answers are stored. Only the code that
//! writes and reads a round knows its contents; here it is JSON with an age.

use std::path::Path;

use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{Sqlite, StoreError, sqlite};

/// A stored round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRound {
    /// Unix time of its end.
    pub ended_seconds: u64,
    /// A JSON object.
    pub body: String,
}

/// How much is stored: rounds beyond either bound are deleted, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Rounds at most.
    pub rounds_max: u64,
    /// Age in seconds at most.
    pub age_seconds_max: u64,
}

impl Sqlite {
    /// Stores these rounds: all of them, or none on an error.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_rounds(&self, rounds: &[StoredRound]) -> Result<(), StoreError> {
        let mut transaction = self.pool().begin().await?;
        for round in rounds {
            sqlx::query("INSERT INTO rounds (ended_seconds, body) VALUES (?, ?)")
                .bind(sqlite::to_i64(round.ended_seconds))
                .bind(&round.body)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Deletes rounds beyond the bounds; `now_seconds` is Unix time.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_rounds(&self, bounds: Bounds, now_seconds: u64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM rounds WHERE ended_seconds < ?")
            .bind(sqlite::to_i64(now_seconds.saturating_sub(bounds.age_seconds_max)))
            .execute(self.pool())
            .await?;
        sqlx::query("DELETE FROM rounds WHERE number <= (SELECT max(number) FROM rounds) - ?")
            .bind(sqlite::to_i64(bounds.rounds_max))
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

/// Reads stored rounds while the gateway may be running, and changes nothing.
#[derive(Debug)]
pub struct RoundReader {
    pool: SqlitePool,
    /// The number of the last round that it has returned.
    last: i64,
}

impl RoundReader {
    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    /// When the file does not exist or cannot be read.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(sqlite::LOCK_WAIT);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(sqlite::LOCK_WAIT)
            .connect_with(options)
            .await?;
        Ok(Self { pool, last: 0 })
    }

    /// The bodies of the next rounds, the oldest first, at most `limit`; empty at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or has no table of rounds because an older gateway made it.
    pub async fn next(&mut self, limit: u32) -> Result<Vec<String>, StoreError> {
        let query = "SELECT number, body FROM rounds WHERE number > ? ORDER BY number LIMIT ?";
        let rows = sqlx::query(query).bind(self.last).bind(limit).fetch_all(&self.pool).await?;
        let mut bodies = Vec::new();
        for row in rows {
            self.last = row.try_get(0)?;
            bodies.push(row.try_get(1)?);
        }
        Ok(bodies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(n: u64) -> StoredRound {
        StoredRound { ended_seconds: 1_000 + n, body: format!("{{\"n\":{n}}}") }
    }

    async fn read_bodies(path: &Path) -> Vec<String> {
        RoundReader::open(path).await.expect("a file").next(1_000).await.expect("read")
    }

    fn bodies(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
        numbers.into_iter().map(|n| round(n).body).collect()
    }

    const WIDE: Bounds = Bounds { rounds_max: 100, age_seconds_max: 1_000 };

    #[tokio::test]
    async fn rounds_are_read_in_order_while_more_are_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let store = Sqlite::open(&path, 0).await.expect("a new file");
        store.keep_rounds(&(0..5).map(round).collect::<Vec<_>>()).await.expect("stored");
        let mut reader = RoundReader::open(&path).await.expect("beside the gateway");
        assert_eq!(reader.next(3).await.expect("read"), bodies(0..3));
        store.keep_rounds(&[round(5)]).await.expect("stored");
        assert_eq!(reader.next(3).await.expect("read"), bodies(3..6));
        assert!(reader.next(3).await.expect("read").is_empty());
    }

    #[tokio::test]
    async fn rounds_beyond_the_bounds_are_deleted_the_oldest_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let store = Sqlite::open(&path, 0).await.expect("a new file");
        store.keep_rounds(&(0..10).map(round).collect::<Vec<_>>()).await.expect("stored");
        store.forget_rounds(WIDE, 1_010).await.expect("nothing to delete");
        assert_eq!(read_bodies(&path).await, bodies(0..10));
        let few = Bounds { rounds_max: 4, ..WIDE };
        store.forget_rounds(few, 1_010).await.expect("deleted");
        assert_eq!(read_bodies(&path).await, bodies(6..10));
        store.keep_rounds(&[round(10)]).await.expect("stored");
        store.forget_rounds(few, 1_010).await.expect("deleted");
        assert_eq!(read_bodies(&path).await, bodies(7..11));
        let young = Bounds { age_seconds_max: 5, ..WIDE };
        store.forget_rounds(young, 1_014).await.expect("deleted");
        assert_eq!(read_bodies(&path).await, bodies(9..11));
    }

    #[tokio::test]
    async fn a_deleted_round_is_gone_from_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let store = Sqlite::open(&path, 0).await.expect("a new file");
        let secret = StoredRound { ended_seconds: 1, body: "\"a word to forget\"".to_owned() };
        store.keep_rounds(&[secret]).await.expect("stored");
        store.forget_rounds(WIDE, 10_000).await.expect("deleted");
        store.pool().close().await;
        let bytes = std::fs::read(&path).expect("the file");
        assert!(!String::from_utf8_lossy(&bytes).contains("a word to forget"));
    }

    #[tokio::test]
    async fn reading_creates_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        assert!(RoundReader::open(&path).await.is_err());
        assert!(!path.exists());
    }
}
