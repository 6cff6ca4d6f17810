//! People, and what they call.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use checkrein_control_plane::cli::identity::RootKey;
use checkrein_proto::decision::v1::decision_service_client::DecisionServiceClient;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{RemoveRequest, RemoveResponse};
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::notification_service_client::NotificationServiceClient;
use checkrein_proto::hold::v1::{Hold, ListRequest, Terms, VoteRequest, VoteResponse};
use checkrein_proto::policy::v1::policy_service_client::PolicyServiceClient;
use checkrein_proto::policy::v1::{PackFile, PushRequest};
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{EndRequest, RevokeRequest, StartRequest, StartResponse};
use checkrein_shared::SystemClock;
use checkrein_shared::action::ActionIdentity;
use checkrein_shared::id::SessionId;
use checkrein_shared::identity::Role;
use checkrein_shared::policy::PackSource;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{WAIT_MAX, World};

/// Somebody with a certificate, connected to one replica.
#[derive(Debug, Clone)]
pub struct Person {
    channel: Channel,
}

impl World {
    /// The operator, at the first replica.
    pub async fn operator(&self) -> Result<Person> {
        self.person(Role::Operator, "olga", 0).await
    }

    /// An approver, at the first replica.
    pub async fn approver(&self, name: &str) -> Result<Person> {
        self.person(Role::Approver, name, 0).await
    }

    /// Anybody, at any replica.
    pub async fn person(&self, role: Role, name: &str, replica: usize) -> Result<Person> {
        let identity = self.issue(role, name)?;
        let identity = Identity::from_pem(&identity.certificate, &identity.key);
        Ok(Person {
            channel: self.connect(Some(identity), replica).await?,
        })
    }

    /// Anybody, at a replica that is not of this process.
    pub async fn person_at(&self, role: Role, name: &str, address: SocketAddr) -> Result<Person> {
        let identity = self.issue(role, name)?;
        let identity = Identity::from_pem(&identity.certificate, &identity.key);
        Ok(Person {
            channel: self.connect_to(Some(identity), address).await?,
        })
    }

    /// A client config of anybody's, at the first replica, as `checkrein --config` reads it.
    pub fn client_config(&self, role: Role, name: &str) -> Result<PathBuf> {
        let identity = self.issue(role, name)?;
        let directory = self.path().join(format!("client-{role}-{name}"));
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("certificate.pem"), &identity.certificate)?;
        std::fs::write(directory.join("key.pem"), &identity.key)?;
        std::fs::write(directory.join("ca.pem"), &self.authority.ca_certificate)?;
        let text = format!(
            "control_plane = [\"https://{}\"]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\nca = \"ca.pem\"\nroot_key = \"{}\"\n",
            self.address(0),
            RootKey(*self.authority.root.as_bytes())
        );
        let path = directory.join("client.toml");
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Whom whoever connects to a replica believes.
    pub fn ca_certificate(&self) -> &str {
        &self.authority.ca_certificate
    }

    /// A connection to a replica as whoever this certificate says, or as nobody.
    pub async fn connect(&self, identity: Option<Identity>, replica: usize) -> Result<Channel> {
        self.connect_to(identity, self.address(replica)).await
    }

    async fn connect_to(&self, identity: Option<Identity>, address: SocketAddr) -> Result<Channel> {
        let ca = Certificate::from_pem(&self.authority.ca_certificate);
        let tls = ClientTlsConfig::new().ca_certificate(ca);
        let tls = match identity {
            Some(identity) => tls.identity(identity),
            None => tls,
        };
        let endpoint = Endpoint::from_shared(format!("https://{address}"))?;
        let endpoint = endpoint
            .tls_config(tls)?
            .connect_timeout(WAIT_MAX)
            .timeout(WAIT_MAX);
        endpoint.connect().await.context("connecting to a replica")
    }
}

impl Person {
    /// What the person's connection is made of.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The fleet's verbs.
    pub fn fleet(&self) -> FleetServiceClient<Channel> {
        FleetServiceClient::new(self.channel())
    }

    /// The policies' verbs.
    pub fn policies(&self) -> PolicyServiceClient<Channel> {
        PolicyServiceClient::new(self.channel())
    }

    /// The tasks' verbs.
    pub fn tasks(&self) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(self.channel())
    }

    /// The holds' verbs.
    pub fn holds(&self) -> HoldServiceClient<Channel> {
        HoldServiceClient::new(self.channel())
    }

    /// What people are told.
    pub fn notifications(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.channel())
    }

    /// The record.
    pub fn decisions(&self) -> DecisionServiceClient<Channel> {
        DecisionServiceClient::new(self.channel())
    }

    /// Pushes a pack; returns its generation.
    pub async fn push(&self, pack: &PackSource) -> Result<u64> {
        let file = |(path, content): (&String, &Vec<u8>)| PackFile {
            path: path.clone(),
            content: content.clone().into(),
        };
        let request = PushRequest {
            pack: pack.name.clone(),
            files: pack.files.iter().map(file).collect(),
            note: "test".to_owned(),
            idempotency_key: fresh_key(),
            validate_only: false,
        };
        let pushed = self.policies().push(request).await?.into_inner();
        Ok(pushed.revision.context("a revision")?.generation)
    }

    /// Starts a task in production, for an hour.
    pub async fn start(
        &self,
        user: &str,
        agent: &str,
        tools: &[&str],
        named: &[&str],
    ) -> Result<StartResponse> {
        let request = StartRequest {
            budgets: Vec::new(),
            holder_key: String::new(),
            user: user.to_owned(),
            agent: agent.to_owned(),
            tools: tools.iter().map(ToString::to_string).collect(),
            named: named.iter().map(ToString::to_string).collect(),
            intent: "a test".to_owned(),
            environment: "production".to_owned(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            scope: String::new(),
            limits: None,
            data: None,
        };
        Ok(self.tasks().start(request).await?.into_inner())
    }

    /// Ends a task.
    pub async fn end(&self, task_id: &str) -> Result<()> {
        let request = EndRequest {
            task_id: task_id.to_owned(),
            idempotency_key: fresh_key(),
        };
        self.tasks().end(request).await?;
        Ok(())
    }

    /// Revokes a task.
    pub async fn revoke(&self, task_id: &str) -> Result<()> {
        let reason = "a test".to_owned();
        let request = RevokeRequest {
            task_id: task_id.to_owned(),
            reason,
            idempotency_key: fresh_key(),
            ..RevokeRequest::default()
        };
        self.tasks().revoke(request).await?;
        Ok(())
    }

    /// Removes an identity.
    pub async fn remove(&self, id: &str) -> Result<RemoveResponse, tonic::Status> {
        let request = RemoveRequest {
            spiffe_id: id.to_owned(),
            reason: "left the company".to_owned(),
            idempotency_key: fresh_key(),
        };
        Ok(self.fleet().remove(request).await?.into_inner())
    }

    /// The one hold that waits in a task, once it does.
    pub async fn waiting(&self, task_id: &str) -> Result<Hold> {
        let request = ListRequest {
            task_id: task_id.to_owned(),
            ..ListRequest::default()
        };
        let looking = async {
            loop {
                let holds = self.holds().list(request.clone()).await?.into_inner().holds;
                if let Some(hold) = holds.into_iter().next() {
                    return Ok(hold);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, looking)
            .await
            .context("no hold came")?
    }

    /// Votes on what a hold shows; the hash is computed from it.
    pub async fn vote(&self, hold: &Hold, approve: bool) -> Result<Hold, tonic::Status> {
        let voted = self.vote_with(hold, approve, None).await?;
        voted.hold.ok_or_else(|| tonic::Status::internal("no hold"))
    }

    /// The same, and says what else may happen.
    pub async fn vote_with(
        &self,
        hold: &Hold,
        approve: bool,
        terms: Option<Terms>,
    ) -> Result<VoteResponse, tonic::Status> {
        let shown = hold
            .action
            .clone()
            .ok_or_else(|| tonic::Status::internal("no action"))?;
        let identity =
            ActionIdentity::try_from(shown).map_err(|error| tonic::Status::internal(error.to_string()))?;
        let request = VoteRequest {
            hold_id: hold.hold_id.clone(),
            approve,
            action_sha256: identity.sha256().to_bytes(),
            reason: if approve {
                String::new()
            } else {
                "not today".to_owned()
            },
            terms,
            idempotency_key: fresh_key(),
        };
        Ok(self.holds().vote(request).await?.into_inner())
    }
}

/// A key nobody used before.
pub fn fresh_key() -> String {
    SessionId::new(&SystemClock).to_string()
}
