//! A real Prometheus scrapes a running swarm, and every panel of every dashboard has data.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::swarm::{LiveSwarm, eventually};
use crate::tools;

#[tokio::test]
async fn every_panel_of_the_dashboard_has_data() {
    let Some(prometheus) = tools::prometheus() else { return };
    let swarm = LiveSwarm::start(&["shoal-sum", "shoal-times", "shoal-order"]);
    let server = Server::start(&prometheus, &swarm);
    eventually("Prometheus has scraped the gateway", async || {
        server.query("up{job=\"shoal\"} == 1").await.is_some_and(|series| series > 0)
    })
    .await;
    for question in ["What is 47 + 385?", "What is 7 times 86?", "Which is larger, 54 or 45?"] {
        let (status, answer) = swarm.ask("shoal", question).await;
        assert_eq!(status, 200, "{answer}");
    }
    swarm.ask("shoal-sum", "What is 12 + 30?").await;
    swarm.ask("nobody", "What is 12 + 30?").await;

    let expressions = expressions();
    assert!(expressions.len() >= 12, "only {} panel queries", expressions.len());
    for (panel, expression) in expressions {
        eventually(&format!("{panel}: {expression}"), async || {
            // A rate is over what happens now. Which of these several members know, their exams have shown.
            for question in ["What is 47 + 385?", "What is 502 - 17?", "Solve 3x + 7 = 46."] {
                swarm.ask("shoal", question).await;
            }
            server.query(&expression).await.is_some_and(|series| series > 0)
        })
        .await;
    }
}

#[test]
fn panels_have_titles_units_and_a_datasource_that_can_be_chosen() {
    for (file, board) in boards() {
        let mut ids = BTreeSet::new();
        assert!(board["uid"].is_string(), "{file}: a fixed uid keeps links alive");
        for panel in panels(&board) {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(!title.is_empty(), "{file}: a panel without title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {title}: id used twice");
            assert!(panel["description"].is_string(), "{file}: {title}: what does it tell?");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{file}: {title}: unit");
        }
    }
}

/// A Prometheus with the project's scrape settings.
struct Server {
    process: Child,
    base: String,
    _data: tempfile::TempDir,
}

impl Server {
    fn start(program: &Path, swarm: &LiveSwarm) -> Self {
        let data = tempfile::tempdir().unwrap();
        let settings = fs::read_to_string(grafana().join("prometheus.yml")).unwrap();
        assert!(settings.contains("127.0.0.1:8080"), "the scrape settings name the gateway");
        let settings = settings
            .replace("127.0.0.1:8080", swarm.base.trim_start_matches("http://"))
            .replace("scrape_interval: 15s", "scrape_interval: 1s");
        let file = data.path().join("prometheus.yml");
        fs::write(&file, settings).unwrap();
        // Prometheus does not tell which port it took for 0: take one that is free now.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, base: format!("http://127.0.0.1:{port}"), _data: data }
    }

    /// How many series an expression gives with at least one real number among them.
    async fn query(&self, expression: &str) -> Option<usize> {
        let expression = expression
            .replace("$__rate_interval", "30s")
            .replace("$job", "shoal")
            .replace("$instance", ".+")
            .replace("$__range", "5m")
            .replace("$__interval", "5s");
        let reply = reqwest::Client::new()
            .get(format!("{}/api/v1/query", self.base))
            .query(&[("query", expression.as_str())])
            .send()
            .await
            .ok()?;
        let body: Value = reply.json().await.ok()?;
        assert_ne!(body["status"], "error", "{expression}: {}", body["error"]);
        let series = body["data"]["result"].as_array()?;
        let numbers = series.iter().filter_map(|point| point["value"][1].as_str());
        Some(numbers.filter(|number| *number != "NaN").count())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn grafana() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana")
}

fn boards() -> Vec<(String, Value)> {
    let folder = grafana().join("dashboards");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "json")).map(read_board).collect()
}

/// A dashboard with its file's name.
fn read_board(path: PathBuf) -> (String, Value) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
}

/// All panels except rows.
fn panels(board: &Value) -> Vec<&Value> {
    let panels = board["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

fn expressions() -> Vec<(String, String)> {
    let boards = boards();
    let board_panels = boards.iter().flat_map(|(_, board)| panels(board));
    board_panels
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap().to_owned();
            let targets = panel["targets"].as_array().unwrap().clone();
            targets
                .into_iter()
                .map(move |t| (title.clone(), t["expr"].as_str().unwrap().to_owned()))
        })
        .collect()
}
