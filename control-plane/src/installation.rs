//! A control plane on one machine: keys, a database and a first operator, made where they are missing.
//!
//! ```text
//! data/
//!   keys/         root, bundle, grant, CA and masking keys
//!   postgres/     a private Postgres, unless a database was named
//!   operator/     the first operator: client.toml, certificate, key
//! ```
//!
//! **Invariant**: what is there is used, never replaced; but a certificate of ours that nears its end is renewed.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkrein_shared::SharedClock;
use checkrein_shared::clock::Clock;
use checkrein_shared::identity::Role;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::authority::{self, Authority, AuthorityError};
use crate::cli::client::{ClientConfig, ConfigError};
use crate::cli::identity::{
    CERTIFICATE_FILE, CLIENT_FILE, Credentials, IdentityError, KEY_FILE, MODE_PUBLIC, RootKey,
    write_identity, write_new,
};
use crate::config::Config;
use crate::database::{Database, DatabaseError};
use crate::postgres::{self, PostgresError, PrivatePostgres, Progress};
use crate::server::{self, ConsoleOptions, Options, RunError};

/// The first operator's name.
const FIRST_OPERATOR: &str = "admin";
/// The first operator's certificate is renewed when it has less than this left: a month.
const OPERATOR_LEFT_MS_MIN: u64 = 30 * 24 * 60 * 60 * 1_000;
/// The database's name in a private Postgres.
const DATABASE: &str = "checkrein";

/// Everything a replica needs to serve.
#[derive(Debug)]
pub struct Installation {
    config: Config,
    database: Database,
    epoch: u64,
    authority: Arc<Authority>,
    /// Stops when the installation is dropped.
    postgres: Option<PrivatePostgres>,
}

/// What is missing for serving.
#[derive(Debug, Error)]
pub enum InstallationError {
    /// The data directory.
    #[error("can't create `{path}`")]
    Directory {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The address is taken, or not ours.
    #[error("can't listen on `{address}`; is another control plane running? choose another with --listen")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The CA of the database.
    #[error("can't read the CA of the database `{path}`")]
    DatabaseCa {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The console's address is taken, or not ours.
    #[error("can't listen on `{address}` for the console; choose another with --console-listen, or `off`")]
    ListenConsole {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The private Postgres.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// It died under us.
    #[error(
        "the private Postgres in `{}` ended by itself, and nothing can be served without it: start again; what was \
         committed is kept",
        .0.display()
    )]
    PostgresEnded(PathBuf),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The keys.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The first operator's files.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The first operator's config.
    #[error(transparent)]
    ClientConfig(#[from] ConfigError),
    /// Serving.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Installation {
    /// Opens the installation in the config's data directory, making what it lacks.
    pub async fn open(
        config: Config,
        clock: &SharedClock,
        progress: Progress,
    ) -> Result<Self, InstallationError> {
        create_private(&config.data)?;
        let authority = Authority::open(&config.data.join("keys"), &config.trust_domain, &**clock)?
            .certifying_for(config.certificate_life);
        let (postgres, url) = if let Some(url) = &config.database_url {
            (None, url.clone())
        } else {
            let options = postgres::Options {
                progress,
                ..postgres::Options::kept_in(config.data.join("postgres"))
            };
            let postgres = PrivatePostgres::start(options).await?;
            let url = postgres.database(DATABASE).await?;
            (Some(postgres), url)
        };
        let ca = config.database_ca.as_deref().map(read_ca).transpose()?;
        let database = Database::new(&url, ca.as_deref())?;
        let epoch = database.prepare(&authority.claim()).await?;
        Ok(Self {
            config,
            database,
            epoch,
            authority: Arc::new(authority),
            postgres,
        })
    }

    /// Takes the configured address.
    pub async fn bind(&self) -> Result<TcpListener, InstallationError> {
        let address = self.config.listen;
        TcpListener::bind(address)
            .await
            .map_err(|source| InstallationError::Listen { address, source })
    }

    /// Takes the address of the console, if there is to be one.
    pub async fn bind_console(&self) -> Result<Option<TcpListener>, InstallationError> {
        let Some(console) = &self.config.console else {
            return Ok(None);
        };
        let address = console.listen;
        TcpListener::bind(address)
            .await
            .map(Some)
            .map_err(|source| InstallationError::ListenConsole { address, source })
    }

    /// Where browsers find the console that listens on `port`; none: there is none.
    pub fn console_url(&self, port: u16) -> Option<String> {
        let console = self.config.console.as_ref()?;
        let scheme = if console.speaks_tls() { "https" } else { "http" };
        let here = || self.address(scheme, port);
        Some(console.url.clone().unwrap_or_else(here))
    }

    /// The first operator's client config, made if it is not there; a certificate that nears its end is renewed, the key and the
    /// config left as they are. `port` is the one that is listened on.
    pub fn operator(&self, clock: &SharedClock, port: u16) -> Result<PathBuf, InstallationError> {
        let directory = self.config.data.join("operator");
        let file = directory.join(CLIENT_FILE);
        if file.exists() {
            renew_operator(&self.authority, &**clock, &directory)?;
        } else {
            self.write_client(clock, Role::Operator, FIRST_OPERATOR, port, &directory)?;
        }
        Ok(file)
    }

    /// Makes an identity and writes it with a client config that names this control plane.
    pub fn write_client(
        &self,
        clock: &SharedClock,
        role: Role,
        name: &str,
        port: u16,
        directory: &Path,
    ) -> Result<(), InstallationError> {
        let identity = self.authority.issue(&**clock, role, name)?;
        let credentials = Credentials {
            certificate: identity.certificate,
            key: identity.key,
            ca: self.authority.ca_certificate.clone(),
        };
        let root_key = RootKey(*self.authority.root.as_bytes());
        let config = ClientConfig::beside(vec![self.url(port)], root_key).encode()?;
        Ok(write_identity(
            directory,
            &credentials,
            (CLIENT_FILE, &config),
            false,
        )?)
    }

    /// The address that clients are given.
    pub fn url(&self, port: u16) -> String {
        self.address("https", port)
    }

    fn address(&self, scheme: &str, port: u16) -> String {
        match self.config.hosts.first() {
            Some(host) if host.contains(':') => format!("{scheme}://[{host}]:{port}"),
            Some(host) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://localhost:{port}"),
        }
    }

    fn console(&self, listener: Option<TcpListener>) -> Result<Option<ConsoleOptions>, InstallationError> {
        let (Some(listener), Some(config)) = (listener, &self.config.console) else {
            return Ok(None);
        };
        let failed = |source| InstallationError::ListenConsole {
            address: config.listen,
            source,
        };
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Some(ConsoleOptions {
            url: self.console_url(port).unwrap_or_default(),
            speaks_tls: config.speaks_tls(),
            certificate: config.certificate.clone(),
            listener,
        }))
    }

    /// Serves until `stop` is cancelled; then stops the private Postgres, if there is one.
    pub async fn serve(
        self,
        listener: TcpListener,
        console: Option<TcpListener>,
        clock: SharedClock,
        stop: CancellationToken,
    ) -> Result<(), InstallationError> {
        let console = self.console(console)?;
        let options = Options {
            database: self.database,
            epoch: self.epoch,
            authority: self.authority,
            hosts: self.config.hosts,
            beat: self.config.beat,
            retention: self.config.retention.into(),
            client_ca: self.config.client_ca,
            spiffe_socket: self.config.spiffe_socket,
            notifications: self.config.notifications,
            oidc: self.config.oidc,
            console,
            jwt_svid: self.config.jwt_svid,
        };
        let ended = self.postgres.as_ref().map(PrivatePostgres::ended);
        let served = tokio::select! {
            served = server::run(options, listener, clock, stop.clone()) => served.map_err(InstallationError::from),
            () = cancelled(ended) => {
                stop.cancel();
                Err(InstallationError::PostgresEnded(self.config.data.join("postgres")))
            }
        };
        if let Some(postgres) = self.postgres {
            postgres.stop().await;
        }
        served
    }
}

/// Never, where there is nothing that could end.
async fn cancelled(token: Option<CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Files that somebody moved away are not missed.
fn renew_operator(
    authority: &Authority,
    clock: &dyn Clock,
    directory: &Path,
) -> Result<(), InstallationError> {
    let path = directory.join(CERTIFICATE_FILE);
    let files = std::fs::read_to_string(&path)
        .and_then(|certificate| Ok((certificate, std::fs::read_to_string(directory.join(KEY_FILE))?)));
    let Ok((certificate, key)) = files else {
        return Ok(());
    };
    let left_ms = authority::not_after_ms(&certificate)?.saturating_sub(clock.wall_ms());
    if left_ms > OPERATOR_LEFT_MS_MIN {
        return Ok(());
    }
    let renewed = authority.renew(clock, Role::Operator, FIRST_OPERATOR, &key)?;
    let failed = |source| IdentityError::Write {
        path: path.clone(),
        source,
    };
    // Beside it first, so that there is a whole certificate whenever somebody looks.
    let beside = path.with_extension("new");
    write_new(&beside, renewed.certificate.as_bytes(), MODE_PUBLIC, true).map_err(failed)?;
    std::fs::rename(&beside, &path).map_err(failed)?;
    info!(certificate = %path.display(), "the operator's certificate was renewed");
    Ok(())
}

fn read_ca(path: &Path) -> Result<Vec<u8>, InstallationError> {
    std::fs::read(path).map_err(|source| InstallationError::DatabaseCa {
        path: path.display().to_string(),
        source,
    })
}

fn create_private(path: &Path) -> Result<(), InstallationError> {
    let failed = |source| InstallationError::Directory {
        path: path.display().to_string(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)
}

#[cfg(test)]
mod tests;
