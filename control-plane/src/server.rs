//! One replica: feeds, rooms and housekeeping on one socket.
//!
//! **Invariant**: nothing is served before the schema is right and the feeds have read the database once; when told to stop,
//! a replica tells its streams to go elsewhere, and is gone within a bound.

mod svid;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use checkrein_http::InvalidCa;
use checkrein_proto::decision::v1::decision_service_server::DecisionServiceServer;
use checkrein_proto::decision::v1::journal_service_server::JournalServiceServer;
use checkrein_proto::fleet::v1::fleet_service_server::FleetServiceServer;
use checkrein_proto::hold::v1::hold_service_server::HoldServiceServer;
use checkrein_proto::hold::v1::notification_service_server::NotificationServiceServer;
use checkrein_proto::policy::v1::bundle_service_server::BundleServiceServer;
use checkrein_proto::policy::v1::policy_service_server::PolicyServiceServer;
use checkrein_proto::task::v1::task_service_server::TaskServiceServer;
use checkrein_shared::SharedClock;
use checkrein_shared::id::ReplicaId;
use spiffe::transport::Endpoint;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::{info, warn};

use crate::authority::{Authority, AuthorityError};
use crate::caller::{Authorize, BearerError, Bearers};
use crate::config::{JwtSvid, Oidc};
use crate::console::{self, Console, ConsoleTlsError, Door, Offer, Site};
use crate::database::{Database, DatabaseError, FeedName};
use crate::decision::{Decisions, Retention, keep_partitions};
use crate::feed::{follow_revisions, spawn_feed};
use crate::fleet::{self, Desk, Feeds, Fleet, FleetOptions, Removed, Teams};
use crate::hold::{self, HoldNews, Holds};
use crate::notify::{Notifications, Notifier};
use crate::policy::{self, Policies, Published, Segments};
use crate::session::{self, Sessions};
use crate::task::{self, RevocationLog, Tasks};
use svid::{ServedFeed, Svids};
use tls::Renewing;

/// How long streams may take to end after we say stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long the first read of the database may take.
const FIRST_READ_MAX: Duration = Duration::from_secs(10);
/// Pings on an idle connection, so that a dead peer is noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// One stalled stream may hold an eighth of its connection, no more.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Streams of one connection.
const STREAMS_MAX: u32 = 256;
/// The largest message: a pushed pack.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// How often deadlines of holds are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// How often partitions are looked at, and what is old is cleared away.
const PARTITION_INTERVAL: Duration = Duration::from_hours(1);

/// What a replica serves with.
#[derive(Debug)]
pub struct Options {
    /// The database, already prepared: see [`Database::prepare`].
    pub database: Database,
    /// The epoch that preparing it gave.
    pub epoch: u64,
    /// The keys.
    pub authority: Arc<Authority>,
    /// Host names the server certificate answers to.
    pub hosts: Vec<String>,
    /// How often an enforcer asks how fresh it is.
    pub beat: Duration,
    /// How long decisions are kept.
    pub retention: Retention,
    /// A file of CAs that certify clients beside our own.
    pub client_ca: Option<PathBuf>,
    /// The SPIFFE agent that gives a second certificate.
    pub spiffe_socket: Option<Endpoint>,
    /// Whom to tell of holds, and how.
    pub notifications: Option<Notifications>,
    /// Whose tokens people sign in with.
    pub oidc: Option<Oidc>,
    /// Whose tokens workloads sign in with.
    pub jwt_svid: Option<JwtSvid>,
    /// The web console, if there is to be one.
    pub console: Option<ConsoleOptions>,
}

/// What a replica serves its console with.
#[derive(Debug)]
pub struct ConsoleOptions {
    /// The socket.
    pub listener: TcpListener,
    /// Where browsers find it.
    pub url: String,
    /// Whether it speaks TLS.
    pub speaks_tls: bool,
    /// Certificate chain and key for that; none: by our own CA.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Why a replica stopped, or never ran.
#[derive(Debug, Error)]
pub enum RunError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// By what a receiver of notifications is verified.
    #[error("a channel of notifications")]
    Notifications(#[source] InvalidCa),
    /// The keys.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Sign-in by token.
    #[error(transparent)]
    Bearer(#[from] BearerError),
    /// The first read did not come.
    #[error("the database did not answer the first read in time")]
    NoFirstRead,
    /// A certificate or key of ours that TLS does not take.
    #[error("the replica's own certificate can't be used")]
    Tls(#[from] rustls::Error),
    /// One that can't be read.
    #[error("the replica's own certificate can't be read")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// CAs of clients that can't be used.
    #[error("`{}` is no file of CA certificates (PEM) to verify clients by", path.display())]
    ClientCa {
        /// Which.
        path: PathBuf,
        /// Why it can't be read; none: there is no certificate in it.
        source: Option<std::io::Error>,
    },
    /// The CA verifies nobody.
    #[error("the CA can't be used to verify clients")]
    Ca(#[from] rustls::server::VerifierBuilderError),
    /// The console's certificate.
    #[error(transparent)]
    Console(#[from] ConsoleTlsError),
    /// The socket.
    #[error("the server can't go on")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves on `listener` until `stop` is cancelled.
pub async fn run(
    options: Options,
    listener: TcpListener,
    clock: SharedClock,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let Options {
        database,
        epoch,
        authority,
        hosts,
        beat,
        retention,
        client_ca,
        spiffe_socket,
        notifications,
        oidc,
        jwt_svid,
        console,
    } = options;
    let notifier = notifier(&database, &clock, &authority.trust_domain, notifications)?;
    let bearers = Bearers::start(oidc, jwt_svid, Arc::clone(&clock), &stop).await?;
    keep_partitions(&database, retention).await?;
    let replica = ReplicaId::new(&*clock).to_string();
    let sessions = Sessions::new(database.clone());
    let offer = console
        .as_ref()
        .map(|console| offer(console, &authority, &clock, &replica, &hosts))
        .transpose()?;
    let svids = spiffe_socket.map(|socket| follow_svids(socket, &authority, &hosts, &stop));
    let certificate = Renewing::new(
        Arc::clone(&authority),
        Arc::clone(&clock),
        replica.replace('_', "-"),
        hosts,
        client_ca,
        svids,
    )?;
    let feeds = feeds(&database, &clock, &stop).await?;
    keep_house(&database, retention, &stop);
    notifier.start(feeds.holds.clone(), &stop);

    let party = bearers.relying_party(&authority.trust_domain);
    let authorize = Authorize::new(authority.trust_domain.clone(), bearers, feeds.removed.clone());
    let policies = Policies::new(
        database.clone(),
        Arc::clone(&authority),
        Arc::clone(&clock),
        epoch,
    );
    let segments = Segments::new(database.clone(), feeds.published.clone());
    let tasks = Tasks::new(database.clone(), Arc::clone(&authority), Arc::clone(&clock));
    let holds = Holds::new(database.clone(), Arc::clone(&authority), Arc::clone(&clock));
    let decisions = Decisions::new(database.of_the_record(), stop.clone());
    let fleet_options = FleetOptions {
        replica,
        beat_ms: u64::try_from(beat.as_millis()).unwrap_or(u64::MAX),
        console: console.as_ref().map(|console| Desk {
            url: console.url.clone(),
            sessions: sessions.clone(),
        }),
    };
    let (news, console_clock) = (feeds.holds.clone(), Arc::clone(&clock));
    let fleet = Fleet::new(
        database,
        Arc::clone(&authority),
        policies.clone(),
        clock,
        feeds,
        stop.clone(),
        fleet_options,
    );
    let services =
        Routes::new(PolicyServiceServer::new(policies).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(BundleServiceServer::new(segments))
            .add_service(TaskServiceServer::new(tasks))
            .add_service(HoldServiceServer::new(holds))
            .add_service(NotificationServiceServer::new(notifier))
            .add_service(JournalServiceServer::new(decisions.clone()))
            .add_service(DecisionServiceServer::new(decisions))
            .add_service(FleetServiceServer::new(fleet));
    let (mut pages, pages_stop) = (JoinSet::new(), stop.child_token());
    if let (Some(options), Some(offer)) = (console, offer) {
        let door = Door::new(&authorize, services.clone());
        let site = Site::new(options.url, party);
        let console = Console::new(door, sessions, console_clock, news, site, pages_stop.clone());
        let serving = console::serve(console, options.listener, offer, pages_stop.clone());
        pages.spawn(serving);
    }
    let server = builder()
        .layer(authorize)
        .add_routes(services)
        .serve_with_incoming_shutdown(tls::accept(listener, certificate), stop.clone().cancelled_owned());
    let served = tokio::select! {
        served = server => served,
        () = drained(&stop) => {
            warn!("some streams did not end in time");
            Ok(())
        }
    };
    // Whichever way the services ended: no page outlives them.
    pages_stop.cancel();
    pages.join_all().await;
    info!("stopped");
    Ok(served?)
}

/// A second certificate, from the SPIFFE agent behind this socket.
fn follow_svids(
    socket: Endpoint,
    authority: &Authority,
    hosts: &[String],
    stop: &CancellationToken,
) -> ServedFeed {
    let svids = Svids {
        socket,
        trust_domain: authority.trust_domain.clone(),
        hosts: hosts.to_vec(),
    };
    svids.follow(stop.clone())
}

/// Who tells people of holds; which channels there are is said.
fn notifier(
    database: &Database,
    clock: &SharedClock,
    trust_domain: &str,
    notifications: Option<Notifications>,
) -> Result<Notifier, RunError> {
    for channel in notifications.iter().flat_map(Notifications::said) {
        info!(channel, "people are told of holds");
    }
    let (database, clock) = (database.clone(), Arc::clone(clock));
    Notifier::new(database, clock, trust_domain, notifications).map_err(RunError::Notifications)
}

/// What browsers are offered; none: they come without TLS.
fn offer(
    console: &ConsoleOptions,
    authority: &Arc<Authority>,
    clock: &SharedClock,
    replica: &str,
    hosts: &[String],
) -> Result<Option<Offer>, ConsoleTlsError> {
    let (authority, clock) = (Arc::clone(authority), Arc::clone(clock));
    let name = replica.replace('_', "-");
    match &console.certificate {
        Some(files) => console::of_files(files).map(Some),
        None if console.speaks_tls => console::of_own(authority, clock, name, hosts.to_vec()).map(Some),
        None => Ok(None),
    }
}

fn builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
}

/// Starts every feed, and waits for their first values: an answer before that would be empty, and look true.
async fn feeds(
    database: &Database,
    clock: &SharedClock,
    stop: &CancellationToken,
) -> Result<Feeds, RunError> {
    let pulse = follow_revisions(database.clone(), Arc::clone(clock), stop.clone());
    let of = database.clone();
    let load = move |_| {
        let database = of.clone();
        async move { policy::load_published(&database).await }
    };
    let first = Published::default();
    let mut published = spawn_feed(
        &[FeedName::Policy, FeedName::Fleet],
        first,
        pulse.clone(),
        stop.clone(),
        load,
    );
    let of = database.clone();
    let load = move |before: Arc<RevocationLog>| {
        let database = of.clone();
        async move { task::load_revocations(&database, &before).await }
    };
    let first = RevocationLog::default();
    let mut revocations = spawn_feed(&[FeedName::Task], first, pulse.clone(), stop.clone(), load);
    let of = database.clone();
    let load = move |before: Arc<HoldNews>| {
        let database = of.clone();
        async move { hold::load_news(&database, &before).await }
    };
    let mut holds = spawn_feed(
        &[FeedName::Hold],
        HoldNews::default(),
        pulse.clone(),
        stop.clone(),
        load,
    );
    let of = database.clone();
    let load = move |_| {
        let database = of.clone();
        async move { fleet::load_removed(&database).await }
    };
    let first = Removed::default();
    let mut removed = spawn_feed(&[FeedName::Fleet], first, pulse.clone(), stop.clone(), load);
    let of = database.clone();
    let load = move |_| {
        let database = of.clone();
        async move { fleet::load_teams(&database).await }
    };
    let first = Teams::default();
    let mut teams = spawn_feed(&[FeedName::Agent], first, pulse.clone(), stop.clone(), load);
    let all = async {
        let loaded = [
            removed.changed().await,
            teams.changed().await,
            published.changed().await,
            revocations.changed().await,
            holds.changed().await,
        ];
        loaded.into_iter().all(|loaded| loaded.is_ok())
    };
    match timeout(FIRST_READ_MAX, all).await {
        Ok(true) => Ok(Feeds {
            pulse,
            published,
            revocations,
            holds,
            removed,
            teams,
        }),
        _ => Err(RunError::NoFirstRead),
    }
}

/// What every replica does beside serving. Any number of them may.
fn keep_house(database: &Database, retention: Retention, stop: &CancellationToken) {
    let (of, until) = (database.clone(), stop.clone());
    tokio::spawn(async move {
        while until.run_until_cancelled(sleep(SWEEP_INTERVAL)).await.is_some() {
            if let Err(error) = hold::sweep(&of).await {
                warn!(error = &error as &dyn std::error::Error, "holds were not swept");
            }
        }
    });
    let (of, until) = (database.clone(), stop.clone());
    tokio::spawn(async move {
        while until
            .run_until_cancelled(sleep(PARTITION_INTERVAL))
            .await
            .is_some()
        {
            let kept = async {
                keep_partitions(&of, retention).await?;
                task::forget_revocations(&of).await?;
                task::forget_proofs(&of).await?;
                task::forget_slices(&of).await?;
                task::sweep_budgets(&of).await?;
                hold::forget_events(&of).await?;
                session::sweep(&of).await?;
                of.forget_old_answers().await?;
                let bundles = policy::retire(&of).await?;
                info!(bundles, "old bundles retired");
                fleet::retire(&of).await
            };
            if let Err(error) = kept.await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "what is old was not cleared away"
                );
            }
        }
    });
}

async fn drained(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(DRAIN_MAX).await;
}
