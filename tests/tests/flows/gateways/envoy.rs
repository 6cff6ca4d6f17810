//! Envoy, with a configuration of `deploy/envoy`.

use std::path::{Path, PathBuf};

use checkrein_shared::identity::Role;
use checkrein_tests::{WAIT_MAX, World, free_port, installed};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running one; it ends with this.
pub(super) struct Envoy {
    /// Where agents come in.
    pub(super) port: u16,
    /// Where it has its certificate, and the CA that agents believe.
    pub(super) certificate: PathBuf,
    _process: Child,
}

/// What a configuration leads to, by the ports that are written there.
pub(super) struct Leads {
    pub(super) enforcer: u16,
    pub(super) bank: u16,
    pub(super) mcp: u16,
}

impl Envoy {
    /// With a file, its addresses and places changed to ours, and whatever else a test changes.
    pub(super) async fn start(
        world: &World,
        (file, changes): (&str, &[(&str, &str)]),
        leads: &Leads,
    ) -> Self {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/envoy");
        let mut config = std::fs::read_to_string(place.join(file)).unwrap();
        let client = world.client_config(Role::Enforcer, "ingress").unwrap();
        let certificate = client.parent().unwrap().to_owned();
        let (port, admin) = (free_port().await.unwrap(), free_port().await.unwrap());
        let mut change = |written: &str, ours: &str| {
            assert!(config.contains(written), "`{written}` is not in {file}");
            config = config.replace(written, ours);
        };
        change("/etc/envoy", &certificate.display().to_string());
        for (written, ours) in [
            (8443, port),
            (9901, admin),
            (7600, leads.enforcer),
            (8080, leads.bank),
            (3001, leads.mcp),
        ] {
            change(
                &format!("port_value: {written} "),
                &format!("port_value: {ours} "),
            );
        }
        for (written, ours) in changes {
            change(written, ours);
        }
        let written = world.path().join(format!("envoy-{port}.yaml"));
        std::fs::write(&written, config).unwrap();
        let process = Command::new(installed("bin/envoy").unwrap())
            .args([
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "--log-level",
                "error",
                "--config-path",
            ])
            .arg(written)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        listens(port).await;
        Self {
            port,
            certificate,
            _process: process,
        }
    }
}

/// Returns when somebody does.
pub(super) async fn listens(port: u16) {
    let connected = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, connected).await.unwrap();
}
