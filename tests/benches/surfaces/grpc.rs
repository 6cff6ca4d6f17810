//! A decision over the socket of an agent, and an answer of the same service that says nothing.

use std::path::Path;

use anyhow::{Result, ensure};
use checkrein_proto::decision::v1 as wire;
use checkrein_proto::decision::v1::gate_service_server::{GateService, GateServiceServer};
use checkrein_tests::{Latency, Stopwatch, gate};
use tokio::net::UnixListener;
use tokio::time::Instant;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::served;
use crate::Stage;

/// Says yes to whatever it is asked.
#[derive(Debug)]
struct Empty;

#[tonic::async_trait]
impl GateService for Empty {
    type WatchStream = ReceiverStream<Result<wire::WatchResponse, Status>>;

    async fn authorize(
        &self,
        _: Request<wire::AuthorizeRequest>,
    ) -> Result<Response<wire::AuthorizeResponse>, Status> {
        Ok(Response::new(wire::AuthorizeResponse {
            verdict: wire::Verdict::Permit.into(),
            ..wire::AuthorizeResponse::default()
        }))
    }

    async fn complete(
        &self,
        _: Request<wire::CompleteRequest>,
    ) -> Result<Response<wire::CompleteResponse>, Status> {
        Ok(Response::new(wire::CompleteResponse {}))
    }

    async fn watch(&self, _: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nothing is watched here"))
    }
}

/// The enforcer, and an empty service.
pub(crate) async fn decisions(stage: &Stage, count: usize) -> Result<(Latency, Latency)> {
    let decided = asked(&stage.config.directory.with_file_name("gate.sock"), stage, count).await?;
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("empty.sock");
    let incoming = UnixListenerStream::new(UnixListener::bind(&socket)?);
    let serving = Server::builder().add_service(GateServiceServer::new(Empty));
    tokio::spawn(serving.serve_with_incoming(incoming));
    Ok((decided, asked(&socket, stage, count).await?))
}

async fn asked(socket: &Path, stage: &Stage, count: usize) -> Result<Latency> {
    let mut gate = gate(socket).await?;
    let mut stopwatch = Stopwatch::new()?;
    for _ in 0..count {
        let request = wire::AuthorizeRequest {
            grant: stage.grant.clone(),
            tool: served::TOOL.to_owned(),
            arguments: "{}".into(),
            ..wire::AuthorizeRequest::default()
        };
        let started = Instant::now();
        let answer = gate.authorize(request).await?.into_inner();
        stopwatch.record(started.elapsed());
        ensure!(answer.verdict() == wire::Verdict::Permit, "{answer:?}");
        let done = wire::CompleteRequest {
            decision_id: answer.decision_id,
            result: wire::OutcomeResult::Done.into(),
            ..wire::CompleteRequest::default()
        };
        gate.complete(done).await?;
    }
    Ok(stopwatch.latency())
}
