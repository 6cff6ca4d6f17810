//! Calls of an MCP server through the proxy, and through what only passes bytes on.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use checkrein_enforcer::{GrantSource, Proxied, Remote, Wrapped};
use checkrein_tests::{Latency, Stopwatch};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::Command;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::{Request, Response};

use super::served;
use crate::{Calls, Stage};

const SERVER: &str = "bank";

/// The proxy, and a relay, before the same server.
pub(crate) async fn stdio(stage: &Stage, calls: Calls) -> Result<(Latency, Latency)> {
    let program = std::env::current_exe()?;
    let (client, theirs) = UnixStream::pair()?;
    let bytes = format!("{}={}", served::BYTES, calls.bytes);
    let wrapped = Wrapped {
        name: SERVER.parse()?,
        command: vec![
            "env".into(),
            bytes.into(),
            program.clone().into(),
            served::STDIO.into(),
        ],
        grant: GrantSource::Given(stage.grant.clone()),
        patience: Duration::ZERO,
        console: None,
    };
    let stop = CancellationToken::new();
    let proxy = tokio::spawn(wrapped.run(stage.enforcer.gate(), theirs.into_split(), stop.clone()));
    let through_proxy = lines(client, calls).await?;
    stop.cancel();
    proxy.await??;

    let (client, theirs) = UnixStream::pair()?;
    let mut child = Command::new(program)
        .arg(served::STDIO)
        .env(served::BYTES, calls.bytes.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (mut stdin, mut stdout) = (
        child.stdin.take().context("in")?,
        child.stdout.take().context("out")?,
    );
    let (mut hears, mut says) = theirs.into_split();
    tokio::spawn(async move { copy(&mut hears, &mut stdin).await });
    tokio::spawn(async move { copy(&mut stdout, &mut says).await });
    let through_relay = lines(client, calls).await?;
    child.kill().await?;
    Ok((through_proxy, through_relay))
}

async fn lines(client: UnixStream, calls: Calls) -> Result<Latency> {
    let (hears, mut says) = client.into_split();
    let mut hears = BufReader::with_capacity(1 << 16, hears);
    let mut line = String::new();
    says.write_all(format!("{}\n", served::hello()).as_bytes())
        .await?;
    hears.read_line(&mut line).await?;
    says.write_all(format!("{}\n", served::READY).as_bytes()).await?;
    let mut stopwatch = Stopwatch::new()?;
    for id in 1..=calls.count {
        let call = format!("{}\n", served::call(id));
        line.clear();
        let started = Instant::now();
        says.write_all(call.as_bytes()).await?;
        hears.read_line(&mut line).await?;
        stopwatch.record(started.elapsed());
        ensure!(is_given(&line, calls), "{line:.300}");
    }
    Ok(stopwatch.latency())
}

/// The door, and a relay of TCP, before the same server.
pub(crate) async fn http(stage: &Stage, calls: Calls) -> Result<(Latency, Latency)> {
    let port = served::http(calls.bytes).await?;
    let proxied = Proxied {
        servers: vec![Remote {
            name: SERVER.parse()?,
            url: format!("http://127.0.0.1:{port}/mcp"),
            ca: None,
            headers: None,
        }],
        listen: ([127, 0, 0, 1], 0).into(),
        grant: GrantSource::Given(stage.grant.clone()),
        patience: Duration::ZERO,
    };
    let door = proxied.open(&stage.enforcer, &stage.config).await?;
    let (url, stop) = (door.url.clone(), CancellationToken::new());
    let served = tokio::spawn(door.serve(stop.clone()));
    let through_door = requests(&url, calls).await?;
    stop.cancel();
    served.await?;
    let relay = relay(port).await?;
    let through_relay = requests(&format!("http://127.0.0.1:{relay}/mcp"), calls).await?;
    Ok((through_door, through_relay))
}

async fn requests(url: &str, calls: Calls) -> Result<Latency> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let posts = async |session: &str, body: String| -> Result<Response<Bytes>> {
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-session-id", session)
            .header("mcp-protocol-version", "2025-11-25")
            .body(Full::new(Bytes::from(body)))?;
        let (head, body) = client.request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    };
    let begun = posts("", served::hello()).await?;
    let session = begun
        .headers()
        .get("mcp-session-id")
        .map(|id| id.to_str().map(str::to_owned));
    let session = session.transpose()?.unwrap_or_default();
    posts(&session, served::READY.to_owned()).await?;
    let mut stopwatch = Stopwatch::new()?;
    for id in 1..=calls.count {
        let call = served::call(id);
        let started = Instant::now();
        let answer = posts(&session, call).await?;
        stopwatch.record(started.elapsed());
        let text = str::from_utf8(answer.body())?;
        ensure!(is_given(text, calls), "{text:.300}");
    }
    Ok(stopwatch.latency())
}

/// What passes every byte on, and reads none; its port.
async fn relay(to: u16) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok(port)
}

/// Whether this is what the server gives, and all of it.
fn is_given(answer: &str, calls: Calls) -> bool {
    answer.len() > calls.bytes && answer.contains("xxx\"")
}
