//! A control plane with its people and enforcers.

pub(crate) mod clients;
pub(crate) mod packs;
mod proxy;

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use checkrein_control_plane::authority::Authority;
use checkrein_control_plane::cli::identity::RootKey;
use checkrein_control_plane::config::{
    Config as ControlPlaneConfig, ConsoleSettings, JwtSvidSettings, OidcSettings, Settings,
};
use checkrein_control_plane::database::Database;
use checkrein_control_plane::installation::Installation;
use checkrein_control_plane::postgres::{Options, PrivatePostgres, Progress};
use checkrein_enforcer::{Config, Enforcer};
use checkrein_proto::fleet::v1::{ListRequest, RegisterRequest};
use checkrein_shared::identity::Role;
use checkrein_shared::policy::PackSource;
use checkrein_shared::{SharedClock, SystemClock};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use proxy::Cut;

/// The trust domain of every world.
pub const TRUST_DOMAIN: &str = "acme.example";
/// How long anything may take to come true.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// One server for the whole process; it ends with it.
static POSTGRES: OnceCell<(PrivatePostgres, Cleaner)> = OnceCell::const_new();
/// How long a server may take to go, in seconds, once the process has gone.
const SERVER_STOP_MAX_S: u32 = 60;

/// A control plane with its people and enforcers.
#[derive(Debug)]
pub struct World {
    directory: TempDir,
    database_url: String,
    authority: Authority,
    clock: SharedClock,
    replicas: Vec<Replica>,
    options: WorldOptions,
}

/// How a world differs from the usual.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// How often an enforcer asks how fresh it is.
    pub beat: String,
    /// How long decisions are kept.
    pub retention: Option<String>,
    /// Where its consoles are, and what they say of themselves.
    pub console: ConsoleSettings,
    /// Whose tokens people sign in with.
    pub oidc: OidcSettings,
    /// Whose tokens workloads sign in with.
    pub jwt_svid: JwtSvidSettings,
    /// CAs that certify clients beside the world's own.
    pub client_ca: Option<PathBuf>,
    /// The SPIFFE agent that gives replicas a second certificate.
    pub spiffe_socket: Option<String>,
    /// A file of channels.
    pub notifications: Option<PathBuf>,
    /// An empty database to use instead of a fresh one of this process's server.
    pub database_url: Option<String>,
}

/// One running replica.
#[derive(Debug)]
pub struct Replica {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its console listens, if it has one.
    pub console: Option<SocketAddr>,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            beat: "200ms".to_owned(),
            retention: None,
            console: ConsoleSettings {
                listen: Some("127.0.0.1:0".to_owned()),
                ..ConsoleSettings::default()
            },
            oidc: OidcSettings::default(),
            jwt_svid: JwtSvidSettings::default(),
            client_ca: None,
            spiffe_socket: None,
            notifications: None,
            database_url: None,
        }
    }
}

impl World {
    /// One replica over an empty database.
    pub async fn start() -> Result<Self> {
        // Boxed, because every test carries it.
        Box::pin(Self::with(WorldOptions::default())).await
    }

    /// The same, with other options.
    pub async fn with(options: WorldOptions) -> Result<Self> {
        let database_url = match &options.database_url {
            Some(given) => given.clone(),
            None => fresh_database().await?,
        };
        let directory = tempfile::Builder::new().prefix("world-").tempdir()?;
        let clock: SharedClock = Arc::new(SystemClock);
        let authority = Authority::open(&directory.path().join("data/keys"), TRUST_DOMAIN, &*clock)?;
        let mut world = Self {
            directory,
            database_url,
            authority,
            clock,
            replicas: Vec::new(),
            options,
        };
        world.add_replica().await?;
        Ok(world)
    }

    /// Starts one more replica over the same database; returns which.
    pub async fn add_replica(&mut self) -> Result<usize> {
        let replica = self.start_replica(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        self.replicas.push(replica);
        Ok(self.replicas.len() - 1)
    }

    /// Where a replica listens.
    pub fn address(&self, replica: usize) -> SocketAddr {
        self.replicas[replica].address
    }

    /// How to reach the database.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Where browsers find the console of a replica; on port 0, where nobody is, if it has none.
    pub fn console(&self, replica: usize) -> String {
        let port = self.replicas[replica].console.map_or(0, |address| address.port());
        format!("http://localhost:{port}")
    }

    /// Stops a replica.
    pub async fn stop_replica(&mut self, replica: usize) {
        self.replicas[replica].stop().await;
    }

    /// Starts it again where it was.
    pub async fn restart_replica(&mut self, replica: usize) -> Result<()> {
        let address = self.replicas[replica].address;
        self.replicas[replica] = self.start_replica(address).await?;
        Ok(())
    }

    /// Where files of this world may be put; gone with it.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The database, for what only SQL can show.
    pub async fn sql(&self) -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.database_url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The same through the door that the control plane uses.
    pub fn database(&self) -> Result<Database> {
        Ok(Database::new(&self.database_url, None)?)
    }

    /// Registers an enforcer and writes its directory; returns the directory.
    pub async fn register(&self, name: &str, labels: &[&str], agents: &[&str]) -> Result<PathBuf> {
        let directory = self.directory.path().join(name);
        std::fs::create_dir_all(&directory)?;
        let request = checkrein_control_plane::cli::identity::generate_request(name)?;
        let register = RegisterRequest {
            name: name.to_owned(),
            labels: labels.iter().map(ToString::to_string).collect(),
            agents: agents.iter().map(ToString::to_string).collect(),
            certificate_request: request.request.clone(),
            idempotency_key: name.to_owned(),
        };
        let registered = self
            .operator()
            .await?
            .fleet()
            .register(register)
            .await?
            .into_inner();
        std::fs::write(directory.join("certificate.pem"), registered.certificate)?;
        std::fs::write(directory.join("key.pem"), &request.key)?;
        std::fs::write(directory.join("ca.pem"), registered.ca_certificate)?;
        Ok(directory)
    }

    /// The same, with a config that `checkrein-enforcer` can start from: `gate.sock` in the directory is the agent's.
    pub async fn register_sidecar(&self, name: &str, agent: &str) -> Result<PathBuf> {
        let directory = self.register(name, &[], &[agent]).await?;
        let config = format!(
            "{}[[unix]]\npath = \"gate.sock\"\nagent = \"{agent}\"\n",
            self.enforcer_toml(agent, &[self.replicas[0].address])
        );
        std::fs::write(directory.join("enforcer.toml"), config)?;
        Ok(directory)
    }

    /// The config of a registered enforcer that speaks for `agent` in this process and follows these addresses.
    pub fn enforcer_config(&self, directory: &Path, agent: &str, addresses: &[SocketAddr]) -> Result<Config> {
        Ok(Config::parse(&self.enforcer_toml(agent, addresses), directory)?)
    }

    /// The same, as the file in the directory of the enforcer that says it.
    pub fn enforcer_toml(&self, agent: &str, addresses: &[SocketAddr]) -> String {
        let urls: Vec<String> = addresses
            .iter()
            .map(|address| format!("\"https://{address}\""))
            .collect();
        let root = RootKey(*self.authority.root.as_bytes());
        format!(
            "control_plane = [{}]\ndirectory = \"state\"\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n\
             ca = \"ca.pem\"\nroot_key = \"{root}\"\n[in_process]\nagent = \"{agent}\"\n",
            urls.join(", ")
        )
    }

    /// Registers an enforcer for one agent, starts it in this process, and waits until it follows.
    pub async fn enforcer(&self, name: &str, agent: &str) -> Result<Enforcer> {
        let directory = self.register(name, &[], &[agent]).await?;
        self.start_enforcer(&directory, agent, &[self.replicas[0].address])
            .await
    }

    /// Starts a registered enforcer and waits until it is connected.
    pub async fn start_enforcer(
        &self,
        directory: &Path,
        agent: &str,
        addresses: &[SocketAddr],
    ) -> Result<Enforcer> {
        let enforcer = Enforcer::connect(self.enforcer_config(directory, agent, addresses)?).await?;
        enforcer
            .wait_until(checkrein_enforcer::Status::connected, WAIT_MAX)
            .await?;
        Ok(enforcer)
    }

    /// Returns once the register says that an enforcer runs this generation.
    pub async fn until_acked(&self, generation: u64) -> Result<()> {
        let mut fleet = self.operator().await?.fleet();
        let acked = async {
            loop {
                let listed = fleet.list(ListRequest::default()).await?.into_inner();
                let mut instances = listed.enforcers.iter().flat_map(|enforcer| &enforcer.instances);
                if instances.any(|instance| instance.generation == generation) {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(WAIT_MAX, acked)
            .await
            .context("nobody acks it")?
    }

    /// Pushes a pack; returns its generation.
    pub async fn push(&self, pack: &PackSource) -> Result<u64> {
        self.operator().await?.push(pack).await
    }

    async fn start_replica(&self, listen: SocketAddr) -> Result<Replica> {
        let config = self.control_plane_config(listen)?;
        let installation = Installation::open(config, &self.clock, Progress::to(|_| ())).await?;
        let listener = bind_again(&installation).await?;
        let console = installation.bind_console().await?;
        let console_address = console.as_ref().map(TcpListener::local_addr).transpose()?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let serving = installation.serve(listener, console, Arc::clone(&self.clock), stop.clone());
        let served = tokio::spawn(async move {
            if let Err(error) = serving.await {
                eprintln!("a replica failed: {:?}", anyhow::Error::from(error));
            }
        });
        Ok(Replica {
            address,
            console: console_address,
            stop,
            served,
        })
    }

    fn control_plane_config(&self, listen: SocketAddr) -> Result<ControlPlaneConfig> {
        let settings = Settings {
            data: Some(self.directory.path().join("data")),
            database_url: Some(self.database_url.clone()),
            listen: Some(listen),
            trust_domain: Some(TRUST_DOMAIN.to_owned()),
            beat: Some(self.options.beat.clone()),
            retention: self.options.retention.clone(),
            client_ca: self.options.client_ca.clone(),
            spiffe_socket: self.options.spiffe_socket.clone(),
            notifications: self.options.notifications.clone(),
            oidc: self.options.oidc.clone(),
            jwt_svid: self.options.jwt_svid.clone(),
            console: self.options.console.clone(),
            ..Settings::default()
        };
        settings.resolve().context("the settings of a world")
    }

    fn issue(&self, role: Role, name: &str) -> Result<checkrein_control_plane::authority::Identity> {
        Ok(self.authority.issue(&*self.clock, role, name)?)
    }
}

impl Replica {
    async fn stop(&mut self) {
        self.stop.cancel();
        // Stops within its own bound.
        let _ended = (&mut self.served).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for replica in &self.replicas {
            replica.stop.cancel();
        }
    }
}

/// Removes the server's directory when the process has gone: nothing in a static is ever dropped.
#[derive(Debug)]
struct Cleaner(#[expect(dead_code, reason = "its standard input is what ends with us")] Child);

impl Cleaner {
    /// A shell that waits for the end of its input, which is ours, then for the server, which the kernel stops.
    fn start(postgres: &PrivatePostgres) -> Result<Self> {
        let reach = postgres.connection_string("postgres");
        let directory = reach.split(' ').find_map(|part| part.strip_prefix("host="));
        let script = format!(
            "read -r _; for _ in $(seq {}); do kill -0 \"$1\" 2>/dev/null || break; sleep 0.1; done; rm -rf -- \"$2\"",
            SERVER_STOP_MAX_S * 10
        );
        let cleaner = Command::new("sh")
            .args(["-c", &script, "sh", &postgres.process_id().to_string()])
            .arg(directory.context("the server listens in a directory")?)
            .stdin(Stdio::piped())
            // A terminal's Ctrl-C is for us.
            .process_group(0)
            .spawn()?;
        Ok(Self(cleaner))
    }
}

/// An empty database on the server of this process; says how to reach it.
pub async fn fresh_database() -> Result<String> {
    let start = async || {
        let postgres = PrivatePostgres::start(Options::throwaway()).await?;
        let cleaner = Cleaner::start(&postgres)?;
        Ok::<_, anyhow::Error>((postgres, cleaner))
    };
    let (postgres, _) = POSTGRES.get_or_try_init(start).await?;
    Ok(postgres.fresh_database().await?)
}

/// A port that was just given up may linger.
async fn bind_again(installation: &Installation) -> Result<tokio::net::TcpListener> {
    let binding = async {
        loop {
            if let Ok(listener) = installation.bind().await {
                return listener;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, binding)
        .await
        .context("the port of a replica is taken")
}
