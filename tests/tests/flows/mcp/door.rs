//! The enforcer before a server over HTTP, and requests that are sent to it by hand.

use checkrein_tests::{Process, WAIT_MAX};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::Scene;

/// A door that is open.
pub(super) struct Door {
    process: Process,
    pub(super) url: String,
}

impl Door {
    /// Before this server, with more on the command line.
    pub(super) async fn open(
        scene: &Scene,
        (name, upstream): (&str, &str),
        wait_s: u32,
        more: &[&str],
    ) -> Self {
        let wait = wait_s.to_string();
        let server = ["--name", name, "--wait", &wait, "--upstream", upstream];
        Self::start(scene, &[&server, more].concat()).await
    }

    /// Before the servers of the configuration.
    pub(super) async fn of_config(scene: &Scene, wait_s: u32) -> Self {
        Self::start(scene, &["--wait", &wait_s.to_string()]).await
    }

    async fn start(scene: &Scene, more: &[&str]) -> Self {
        let mut command = Command::new(&scene.enforcer);
        command
            .arg("mcp")
            .arg("--config")
            .arg(&scene.config)
            .arg("--grant")
            .arg(&scene.grant)
            .args(["--json", "--listen", "127.0.0.1:0"])
            .args(more)
            .env_remove("CHECKREIN_GRANT")
            .env("CHECKREIN_LOG", "warn");
        let process = Process::start(&mut command).await.unwrap();
        let url = process.ready["url"].as_str().unwrap().to_owned();
        Self { process, url }
    }

    pub(super) fn address(&self) -> &str {
        parts(&self.url).0
    }

    pub(super) fn path(&self) -> String {
        format!("/{}", parts(&self.url).1)
    }

    /// A message; the whole answer.
    pub(super) async fn posts(&self, headers: &str, body: &str) -> String {
        raw(self.address(), &post(&self.url, headers, body)).await
    }

    pub(super) async fn stop(self) {
        self.process.stop().await.unwrap();
    }
}

/// The request that brings a message there. Each of the headers ends with its line.
pub(super) fn post(url: &str, headers: &str, body: &str) -> String {
    let (address, path) = parts(url);
    format!(
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// One request as it stands, on a connection of its own; the whole answer.
pub(super) async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(WAIT_MAX, stream.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

pub(super) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The message in an answer, whether it came as JSON or as an event.
pub(super) fn message(answer: &str) -> Option<Value> {
    answer.lines().find_map(|line| {
        let line = line.strip_prefix("data: ").unwrap_or(line);
        serde_json::from_str(line).ok().filter(Value::is_object)
    })
}

fn parts(url: &str) -> (&str, &str) {
    url.trim_start_matches("http://").split_once('/').unwrap()
}
