//! A server over HTTP that does not do all that it should.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server with one tool, in a session that it does not let go of.
async fn clinging() -> Whereabouts {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(BufReader::new(stream)));
        }
    });
    Whereabouts::At(Remote {
        name: "clinging".parse().unwrap(),
        url,
        ca: None,
        headers: None,
    })
}

/// Answers what is posted, and nothing else.
async fn serve(mut stream: BufReader<TcpStream>) {
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line.starts_with("DELETE ") {
                return std::future::pending().await;
            }
            if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = said.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let result = match asked["method"].as_str().unwrap() {
            "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}),
            _ => json!({"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string();
        let (status, answer) = match asked.get("id") {
            Some(_) => ("200 OK", answer),
            None => ("202 Accepted", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nmcp-session-id: one\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_does_not_let_go_of_its_session_is_left() {
    let found = timeout(3 * LEAVE_MAX, Inventory::of(&clinging().await)).await;
    assert_eq!(found.expect("it was left").unwrap().tools.len(), 1);
}
