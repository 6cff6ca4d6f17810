//! A server of MCP with one tool, which gives as many bytes as it is asked for in the environment or in the path: nothing that costs.

use std::io::{BufRead, Write};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What makes this very program such a server.
pub(crate) const STDIO: &str = "--serve-stdio";
/// How many bytes a call gives.
pub(crate) const BYTES: &str = "SERVED_BYTES";
/// The tool, as the catalog names it.
pub(crate) const TOOL: &str = "bank/get_balance";
const NAME: &str = "get_balance";

/// The call.
pub(crate) fn call(id: usize) -> String {
    let params = json!({ "name": NAME, "arguments": {} });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string()
}

/// What begins a session.
pub(crate) fn hello() -> String {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "bench", "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

/// What follows.
pub(crate) const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Answers lines until there are no more.
pub(crate) fn stdio() -> Result<()> {
    let bytes = std::env::var(BYTES)?.parse()?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        if let Some(answer) = answer(&line?, bytes)? {
            writeln!(out, "{answer}")?;
            out.flush()?;
        }
    }
    Ok(())
}

/// Answers requests on a free port; says which.
pub(crate) async fn http(bytes: usize) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answers(stream, bytes));
        }
    });
    Ok(port)
}

async fn answers(stream: TcpStream, bytes: usize) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        let mut is_post = false;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            is_post |= line.starts_with("POST ");
            if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = said.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let answered = if is_post {
            answer(&String::from_utf8(body)?, bytes)?
        } else {
            None
        };
        let (status, body) = match (is_post, answered) {
            (true, Some(body)) => ("200 OK", body),
            (true, None) => ("202 Accepted", String::new()),
            (false, _) => ("405 Method Not Allowed", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
            .await?;
    }
}

fn answer(message: &str, bytes: usize) -> Result<Option<String>> {
    let message: Value = serde_json::from_str(message)?;
    let Some(id) = message.get("id") else {
        return Ok(None);
    };
    let result = match message["method"].as_str().context("a method")? {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"], "capabilities": { "tools": {} },
            "serverInfo": { "name": "bench", "version": "1" },
        }),
        "tools/list" => json!({ "tools": [crate::definition()?] }),
        _ => json!({ "content": [{ "type": "text", "text": "x".repeat(bytes) }] }),
    };
    Ok(Some(
        json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string(),
    ))
}
