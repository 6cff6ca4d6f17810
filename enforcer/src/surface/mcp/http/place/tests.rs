//! Which servers are stood before, and what they are shown.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const CALL: &str = r#"{"id":1}"#;

/// What a server has seen.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    calls: AtomicUsize,
}

/// A server that answers so many calls, and breaks off at the next.
async fn serving(answers: usize) -> (Place, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let sees = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            sees.connections.fetch_add(1, Relaxed);
            let sees = Arc::clone(&sees);
            tokio::spawn(async move {
                while hears(&mut stream).await && sees.calls.fetch_add(1, Relaxed) < answers {
                    stream.write_all(ANSWER).await.unwrap();
                }
            });
        }
    });
    (Place::new(&url, None, None).unwrap(), seen)
}

/// Reads a call, all of it; whether there was one.
async fn hears(stream: &mut TcpStream) -> bool {
    let mut heard = Vec::new();
    while !heard.ends_with(CALL.as_bytes()) {
        if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

/// A call, and what comes of it when its answer has been read.
async fn call(place: &Place) -> Result<Bytes, NoAnswer> {
    let answer = place.send(Method::POST, HeaderMap::new(), CALL.into()).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn calls_one_after_another_share_connections() {
    let (place, seen) = serving(50).await;
    for _ in 0..50 {
        assert_eq!(call(&place).await.unwrap(), "{}");
    }
    let connections = seen.connections.load(Relaxed);
    assert!(connections < 25, "{connections} connections");
}

#[tokio::test]
async fn a_call_that_was_sent_is_not_sent_again_when_its_connection_breaks_off() {
    let (place, seen) = serving(1).await;
    call(&place).await.unwrap();
    let error = call(&place).await.unwrap_err();
    assert!(!error.is_undone(), "{error}");
    assert_eq!(seen.calls.load(Relaxed), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_has_done_nothing_and_the_error_says_why() {
    let place = Place::new("http://127.0.0.1:1/mcp", None, None).unwrap();
    let error = call(&place).await.unwrap_err();
    assert!(error.is_undone(), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_server_is_at_a_web_address_that_carries_nobodys_name() {
    for url in [
        "http://127.0.0.1:3001/mcp",
        "https://mcp.acme.example",
        "https://mcp.acme.example/a?b=c",
    ] {
        assert!(server(url).is_some(), "{url}");
    }
    for url in [
        "",
        "mcp.acme.example",
        "ftp://a/b",
        "https://alice:secret@a/b",
        "https://a/b#c",
        "/mcp",
    ] {
        assert!(server(url).is_none(), "{url}");
    }
}

#[test]
fn what_is_shown_to_a_server_is_a_line_for_each_header_and_is_in_no_log() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("headers");
    fs::write(&path, "Authorization: Bearer hunter2\n\nX-Team: payments\n").unwrap();
    let shown = read(&path).unwrap();
    assert_eq!(shown["authorization"], "Bearer hunter2");
    assert_eq!(shown["x-team"], "payments");
    assert!(!format!("{shown:?}").contains("hunter2"));
    for wrong in ["Authorization", "bad name: x", "X: \u{1}"] {
        fs::write(&path, wrong).unwrap();
        assert!(read(&path).is_none(), "{wrong}");
    }
    assert!(read(&place.path().join("nowhere")).is_none());
}
