//! A stand-in for SPIRE's agent: no SPIRE is to be had where these tests run. It serves the one RPC of the SPIFFE Workload API that
//! gives X.509-SVIDs, over gRPC on a Unix socket, to whoever sends the metadata that the standard asks for; what it gives is what
//! a test tells it to.
//!
//! **Invariant**: who follows its stream is given everything that a test gave since, in that order, and nothing is left out.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// What an agent of the standard gives nobody who does not say that it means to ask it.
const METADATA: &str = "workload.spiffe.io";
const RPC: &str = "/SpiffeWorkloadAPI/FetchX509SVID";
/// Answers on their way to one follower.
const ANSWERS_WAITING_MAX: usize = 4;

/// An X.509-SVID with its key and the bundle of its trust domain, all DER.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub(crate) struct Svid {
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) chain: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) bundle: Bytes,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
struct SvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Svid>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
struct SvidRequest {}

/// An agent that runs, or does not.
pub(crate) struct Agent {
    socket: PathBuf,
    given: watch::Sender<Vec<Svid>>,
    refused: Arc<watch::Sender<bool>>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

/// What its server serves.
#[derive(Clone)]
struct WorkloadApi {
    given: watch::Receiver<Vec<Svid>>,
    refused: Arc<watch::Sender<bool>>,
    stop: CancellationToken,
}

/// A CA that certifies whatever it is asked for.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: Bytes,
}

impl Agent {
    /// One that does not run yet, and has nothing to give.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self {
            socket,
            given: watch::Sender::default(),
            refused: Arc::default(),
            running: None,
        }
    }

    pub(crate) fn start(&mut self) {
        let incoming = UnixListenerStream::new(UnixListener::bind(&self.socket).unwrap());
        let stop = CancellationToken::new();
        let api = WorkloadApi {
            given: self.given.subscribe(),
            refused: Arc::clone(&self.refused),
            stop: stop.clone(),
        };
        let told = stop.clone().cancelled_owned();
        let serving = Server::builder()
            .add_service(api)
            .serve_with_incoming_shutdown(incoming, told);
        let served = tokio::spawn(async move { serving.await.unwrap() });
        self.running = Some((stop, served));
    }

    /// Ends its streams, and takes its socket away.
    pub(crate) async fn stop(&mut self) {
        let (stop, served) = self.running.take().unwrap();
        std::fs::remove_file(&self.socket).unwrap();
        stop.cancel();
        served.await.unwrap();
    }

    /// Gives this to everybody, and to whoever comes later.
    pub(crate) fn give(&self, svid: Svid) {
        self.given.send_modify(|given| given.push(svid));
    }

    /// Waits until somebody has asked who has no entry.
    pub(crate) async fn refused(&self) {
        self.refused
            .subscribe()
            .wait_for(|refused| *refused)
            .await
            .unwrap();
    }
}

impl Ca {
    /// The one of a control plane whose data is there.
    pub(crate) fn of(data: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(data.join("keys").join(name)).unwrap();
        let key = KeyPair::from_pem(&read("ca.key")).unwrap();
        let der = pem::parse(read("ca.pem")).unwrap().into_contents().into();
        Self {
            issuer: Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap(),
            der,
        }
    }

    /// One that no control plane has, under another name than theirs.
    pub(crate) fn of_a_trust_domain() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "SPIFFE");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec().into();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", &*self.der))
    }

    /// An SVID that ends with this year.
    pub(crate) fn certify(&self, id: &str, year: i32) -> Svid {
        self.certify_host(id, year, None)
    }

    /// The same, that answers to a host.
    pub(crate) fn certify_host(&self, id: &str, year: i32, host: Option<&str>) -> Svid {
        let hosts: Vec<String> = host.map(ToOwned::to_owned).into_iter().collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI(id.try_into().unwrap()));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Svid {
            spiffe_id: id.to_owned(),
            chain: certificate.der().to_vec().into(),
            key: key.serialize_der().into(),
            bundle: self.der.clone(),
        }
    }
}

impl NamedService for WorkloadApi {
    const NAME: &'static str = "SpiffeWorkloadAPI";
}

impl Service<http::Request<Body>> for WorkloadApi {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move {
            if request.uri().path() != RPC {
                return Ok(Status::unimplemented("this stand-in gives X.509-SVIDs only").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.server_streaming(api, request).await)
        })
    }
}

impl ServerStreamingService<SvidRequest> for WorkloadApi {
    type Response = SvidResponse;
    type ResponseStream = ReceiverStream<Result<SvidResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<SvidRequest>) -> Self::Future {
        let (mut given, stop) = (self.given.clone(), self.stop.clone());
        let refused = Arc::clone(&self.refused);
        Box::pin(async move {
            if request
                .metadata()
                .get(METADATA)
                .is_none_or(|value| value != "true")
            {
                return Err(Status::invalid_argument("the security header is missing"));
            }
            let last = given.borrow_and_update().len().checked_sub(1);
            let Some(mut at) = last else {
                refused.send_replace(true);
                return Err(Status::permission_denied("no identity issued"));
            };
            let (answers, stream) = mpsc::channel(ANSWERS_WAITING_MAX);
            tokio::spawn(stop.run_until_cancelled_owned(async move {
                loop {
                    let new = given.borrow_and_update()[at..].to_vec();
                    at += new.len();
                    for svid in new {
                        if answers
                            .send(Ok(SvidResponse { svids: vec![svid] }))
                            .await
                            .is_err()
                        {
                            return;
                        }
                    }
                    if given.changed().await.is_err() {
                        return;
                    }
                }
            }));
            Ok(Response::new(ReceiverStream::new(stream)))
        })
    }
}
