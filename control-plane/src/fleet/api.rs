//! `FleetService` on the wire.

mod encode;

use std::collections::BTreeSet;

use bytes::Bytes;
use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::fleet_service_server::FleetService;
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::policy::{TEAMS_MAX, TeamName};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::session::{self, MESSAGES_WAITING_MAX};
use super::{Enforcer, Fleet, FleetError, Invite, Journal, Register, store};
use crate::api::{
    bad_field, database_trouble, idempotency_key, next_page, not_found, page_rows, precondition, text,
};
use crate::authority::{AuthorityError, not_after_ms};
use crate::caller::Caller;
use crate::database::FeedName;

/// A name has at most this many bytes.
const NAME_BYTES_MAX: usize = 63;
/// Enforcers on one page: each comes with all that is known of it.
const ENFORCERS_PER_PAGE_MAX: u32 = 200;
/// Agents on one page: each comes with the tools it may use.
const AGENTS_PER_PAGE_MAX: u32 = 50;
/// Invitations on one page.
const INVITATIONS_PER_PAGE_MAX: u32 = 200;
/// An enforcer has at most this many labels, and may speak for as many agents.
const LABELS_MAX: usize = 64;
/// An invitation lives as long as this if nobody says.
const INVITATION_MS_DEFAULT: u64 = 10 * 60 * 1_000;
/// And no longer than this.
const INVITATION_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

#[tonic::async_trait]
impl FleetService for Fleet {
    type SessionStream = ReceiverStream<Result<wire::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let enforcer = Caller::of(&request)?.id.name().to_owned();
        let (down, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
        tokio::spawn(session::run(self.clone(), enforcer, request.into_inner(), down));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn register(
        &self,
        request: Request<wire::RegisterRequest>,
    ) -> Result<Response<wire::RegisterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = idempotency_key(&request.idempotency_key)?.to_owned();
        let register = parse_register(request)?;
        let (_, certificate) = self.register(&caller.id, &key, &register).await?;
        let enforcer = self.find(&register.name).await?;
        Ok(Response::new(wire::RegisterResponse {
            enforcer: Some((&enforcer).into()),
            certificate,
            ca_certificate: self.authority.ca_certificate.clone(),
            root_public_key: Bytes::copy_from_slice(self.authority.root.as_bytes()),
        }))
    }

    async fn certify(
        &self,
        request: Request<wire::CertifyRequest>,
    ) -> Result<Response<wire::CertifyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let role: Role = request
            .role
            .parse()
            .map_err(|error| bad_field("role", format!("{error}")))?;
        let name = parse_name(&request.name)?;
        let (spiffe_id, certificate) = match role {
            Role::ControlPlane => {
                return Err(bad_field("role", "replicas are certified by their own keys"));
            }
            Role::Enforcer => {
                self.recertify(&caller.id, name, &request.certificate_request)
                    .await?
            }
            _ => {
                self.certify(&caller.id, role, name, &request.certificate_request)
                    .await?
            }
        };
        Ok(Response::new(wire::CertifyResponse {
            spiffe_id: spiffe_id.to_string(),
            certificate,
            ca_certificate: self.authority.ca_certificate.clone(),
        }))
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        let caller = Caller::of(&request)?;
        let certificate = self
            .renew(&caller.id, caller.role, &request.get_ref().certificate_request)
            .await?;
        Ok(Response::new(wire::RenewResponse {
            spiffe_id: caller.id.to_string(),
            not_after_unix_ms: not_after_ms(&certificate).map_err(FleetError::Authority)?,
            certificate,
            ca_certificate: self.authority.ca_certificate.clone(),
        }))
    }

    async fn sign_in(
        &self,
        request: Request<wire::SignInRequest>,
    ) -> Result<Response<wire::SignInResponse>, Status> {
        let caller = Caller::of(&request)?;
        let desk = self.options.console.as_ref().ok_or_else(|| {
            let why = "this control plane serves no console: start it without `--console-listen off`";
            precondition("NO_CONSOLE", why)
        })?;
        let link = desk.sessions.link(&caller.id).await;
        let link = link.map_err(|error| database_trouble(&error))?;
        Ok(Response::new(wire::SignInResponse {
            url: format!("{}/sign-in?link={}", desk.url, link.token.as_str()),
            expires_unix_ms: link.expires_ms,
        }))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListResponse>, Status> {
        let request = request.into_inner();
        let page_size = match request.page_size {
            0 => ENFORCERS_PER_PAGE_MAX,
            asked => asked.min(ENFORCERS_PER_PAGE_MAX),
        };
        let tx = self
            .database
            .begin("fleet.list")
            .await
            .map_err(|error| database_trouble(&error))?;
        let silence_ms = self.options.silence_ms();
        let enforcers = store::list(&tx, &request.page_token, page_rows(page_size), silence_ms)
            .await
            .map_err(|error| database_trouble(&error))?;
        let generation = tx
            .revision(FeedName::Policy)
            .await
            .map_err(|error| database_trouble(&error))?;
        Ok(Response::new(wire::ListResponse {
            next_page_token: next_page(&enforcers, page_size, |enforcer| enforcer.name.clone()),
            enforcers: enforcers.iter().map(Into::into).collect(),
            generation,
        }))
    }

    async fn show(
        &self,
        request: Request<wire::ShowRequest>,
    ) -> Result<Response<wire::ShowResponse>, Status> {
        let enforcer = self.find(text("name", &request.get_ref().name)?).await?;
        let journals = self.journals(&enforcer).await?;
        Ok(Response::new(wire::ShowResponse {
            enforcer: Some((&enforcer).into()),
            journals: journals.iter().map(Into::into).collect(),
        }))
    }

    async fn invite(
        &self,
        request: Request<wire::InviteRequest>,
    ) -> Result<Response<wire::InviteResponse>, Status> {
        let caller = Caller::of(&request)?;
        let invite = parse_invite(request.into_inner())?;
        let (spiffe_id, expires_unix_ms) = self.invite(&caller.id, &invite).await?;
        Ok(Response::new(wire::InviteResponse {
            spiffe_id: spiffe_id.to_string(),
            expires_unix_ms,
        }))
    }

    async fn list_invitations(
        &self,
        request: Request<wire::ListInvitationsRequest>,
    ) -> Result<Response<wire::ListInvitationsResponse>, Status> {
        let request = request.into_inner();
        let before = match &*request.page_token {
            "" => u64::MAX,
            token => token
                .parse()
                .map_err(|_| bad_field("page_token", "expected the token of the page before"))?,
        };
        let page_size = match request.page_size {
            0 => INVITATIONS_PER_PAGE_MAX,
            asked => asked.min(INVITATIONS_PER_PAGE_MAX),
        };
        let read = async {
            let tx = self.database.begin("fleet.list_invitations").await?;
            store::list_invited(&tx, &self.authority.trust_domain, before, page_rows(page_size)).await
        };
        let invited = read.await.map_err(|error| database_trouble(&error))?;
        Ok(Response::new(wire::ListInvitationsResponse {
            next_page_token: next_page(&invited, page_size, |invited| invited.place.to_string()),
            invitations: invited.iter().map(Into::into).collect(),
        }))
    }

    async fn withdraw_invitation(
        &self,
        request: Request<wire::WithdrawInvitationRequest>,
    ) -> Result<Response<wire::WithdrawInvitationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        idempotency_key(&request.idempotency_key)?;
        let id = parse_id(&request.spiffe_id)?;
        let withdrawn = self.withdraw_invitation(&caller.id, &id).await?;
        Ok(Response::new(wire::WithdrawInvitationResponse {
            invitation: Some((&withdrawn).into()),
        }))
    }

    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinResponse>, Status> {
        let request = request.into_inner();
        let secret: &[u8; 32] = (&*request.secret)
            .try_into()
            .map_err(|_| bad_field("secret", "expected 32 bytes"))?;
        let joined = self.join(secret, &request.certificate_request).await?;
        Ok(Response::new(wire::JoinResponse {
            spiffe_id: joined.id.to_string(),
            certificate: joined.certificate,
            agents: joined.agents.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn remove(
        &self,
        request: Request<wire::RemoveRequest>,
    ) -> Result<Response<wire::RemoveResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        idempotency_key(&request.idempotency_key)?;
        let id = parse_id(&request.spiffe_id)?;
        let reason = text("reason", &request.reason)?;
        let removal = self.remove(&caller.id, &id, reason).await?;
        Ok(Response::new(wire::RemoveResponse {
            spiffe_id: removal.id.to_string(),
            removed_by: removal.by.to_string(),
            removed_unix_ms: removal.at_ms,
            reason: removal.reason,
            tasks_revoked: removal.tasks_revoked,
        }))
    }

    async fn add_agent(
        &self,
        request: Request<wire::AddAgentRequest>,
    ) -> Result<Response<wire::AddAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        idempotency_key(&request.idempotency_key)?;
        let id = parse_id(&request.spiffe_id)?;
        let owner = text("owner", &request.owner)?;
        if owner.trim().is_empty() {
            return Err(bad_field(
                "owner",
                "expected the person or team that answers for it",
            ));
        }
        let teams = parse_teams(&request.teams)?;
        let agent = self.add_agent(&caller.id, &id, owner, &teams).await?;
        Ok(Response::new(wire::AddAgentResponse {
            agent: Some((&agent).into()),
        }))
    }

    async fn list_agents(
        &self,
        request: Request<wire::ListAgentsRequest>,
    ) -> Result<Response<wire::ListAgentsResponse>, Status> {
        let request = request.into_inner();
        let after = text("page_token", &request.page_token)?;
        let page_size = match request.page_size {
            0 => AGENTS_PER_PAGE_MAX,
            asked => asked.min(AGENTS_PER_PAGE_MAX),
        };
        let read = async {
            let tx = self.database.begin("fleet.list_agents").await?;
            store::list_agents(&tx, after, page_rows(page_size)).await
        };
        let agents = read.await.map_err(|error| database_trouble(&error))?;
        Ok(Response::new(wire::ListAgentsResponse {
            next_page_token: next_page(&agents, page_size, |agent| agent.id.to_string()),
            agents: agents.iter().map(Into::into).collect(),
        }))
    }

    async fn show_agent(
        &self,
        request: Request<wire::ShowAgentRequest>,
    ) -> Result<Response<wire::ShowAgentResponse>, Status> {
        let id = parse_id(&request.get_ref().spiffe_id)?;
        let read = async {
            let tx = self.database.begin("fleet.show_agent").await?;
            store::find_agent(&tx, &id).await
        };
        let agent = read.await.map_err(|error| database_trouble(&error))?;
        let agent = agent.ok_or_else(|| not_found("agent", id.as_str()))?;
        Ok(Response::new(wire::ShowAgentResponse {
            agent: Some((&agent).into()),
        }))
    }
}

impl Fleet {
    async fn journals(&self, enforcer: &Enforcer) -> Result<Vec<Journal>, Status> {
        let read = async {
            let tx = self.database.begin("fleet.journals").await?;
            super::journals(&tx, enforcer).await
        };
        read.await.map_err(|error| database_trouble(&error))
    }

    async fn find(&self, name: &str) -> Result<Enforcer, Status> {
        let tx = self
            .database
            .begin("fleet.show")
            .await
            .map_err(|error| database_trouble(&error))?;
        let found = store::find(&tx, name, self.options.silence_ms())
            .await
            .map_err(|error| database_trouble(&error))?;
        found.ok_or_else(|| not_found("enforcer", name))
    }
}

impl From<FleetError> for Status {
    fn from(error: FleetError) -> Self {
        let message = error.to_string();
        match error {
            FleetError::Taken(_) => Self::already_exists(message),
            FleetError::NotRegistered(_) | FleetError::NobodyInvited(_) => Self::not_found(message),
            FleetError::Removed(_) => precondition("REMOVED", message),
            FleetError::NotRemovable(_) => bad_field("spiffe_id", message),
            FleetError::RemovesItself(_) | FleetError::NotInvited => Self::permission_denied(message),
            FleetError::TooManyJoin => Self::resource_exhausted(message),
            FleetError::InvitationExpired => precondition("INVITATION_EXPIRED", message),
            FleetError::InvitationUsed | FleetError::HasJoined(_) => precondition("INVITATION_USED", message),
            FleetError::InvitationWithdrawn => precondition("INVITATION_WITHDRAWN", message),
            FleetError::NotAnAgent(_) => bad_field("agents", message),
            FleetError::Authority(AuthorityError::Request(_)) => bad_field("certificate_request", message),
            FleetError::Authority(AuthorityError::Name(_)) => bad_field("name", message),
            FleetError::Authority(_) => Self::internal(message),
            FleetError::Policy(error) => error.into(),
            FleetError::Database(error) => database_trouble(&error),
        }
    }
}

fn parse_register(request: wire::RegisterRequest) -> Result<Register, Status> {
    if request.labels.len() > LABELS_MAX || request.agents.len() > LABELS_MAX {
        return Err(bad_field(
            "labels",
            format!("at most {LABELS_MAX} labels and {LABELS_MAX} agents"),
        ));
    }
    let mut labels = Vec::new();
    for label in &request.labels {
        text("labels", label)?;
        let pair = label
            .split_once('=')
            .filter(|(key, value)| !key.is_empty() && !value.is_empty());
        let (key, value) =
            pair.ok_or_else(|| bad_field("labels", format!("`{label}` is not `key=value`")))?;
        labels.push((key.to_owned(), value.to_owned()));
    }
    labels.sort();
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(bad_field("labels", "a label stands twice"));
    }
    let agents: Result<Vec<_>, _> = request.agents.iter().map(|agent| agent.parse()).collect();
    Ok(Register {
        name: parse_name(&request.name)?.to_owned(),
        labels,
        agents: agents.map_err(|error| bad_field("agents", format!("{error}")))?,
        certificate_request: request.certificate_request,
    })
}

fn parse_invite(request: wire::InviteRequest) -> Result<Invite, Status> {
    let role: Role = request
        .role
        .parse()
        .map_err(|error| bad_field("role", format!("{error}")))?;
    if role == Role::ControlPlane {
        return Err(bad_field("role", "replicas are certified by their own keys"));
    }
    let is_bare = request.labels.is_empty() && request.agents.is_empty();
    if role != Role::Enforcer && !is_bare {
        return Err(bad_field("labels", "only an enforcer has labels and agents"));
    }
    let life_ms = match request.life_ms {
        0 => INVITATION_MS_DEFAULT,
        asked if asked <= INVITATION_MS_MAX => asked,
        _ => return Err(bad_field("life_ms", "an invitation lives at most 24 hours")),
    };
    let secret = Sha256::try_from(&*request.secret_sha256)
        .map_err(|_| bad_field("secret_sha256", "expected 32 bytes"))?;
    let register = parse_register(wire::RegisterRequest {
        name: request.name,
        labels: request.labels,
        agents: request.agents,
        ..wire::RegisterRequest::default()
    })?;
    Ok(Invite {
        role,
        register,
        secret,
        life_ms,
    })
}

fn parse_teams(teams: &[String]) -> Result<BTreeSet<TeamName>, Status> {
    let parsed = teams.iter().map(|team| team.parse::<TeamName>());
    let parsed = parsed.collect::<Result<BTreeSet<_>, _>>();
    let parsed = parsed.map_err(|error| bad_field("teams", error.to_string()))?;
    if parsed.len() > TEAMS_MAX {
        return Err(bad_field(
            "teams",
            format!("an agent is in at most {TEAMS_MAX} teams"),
        ));
    }
    Ok(parsed)
}

fn parse_id(id: &str) -> Result<SpiffeId, Status> {
    id.parse()
        .map_err(|error| bad_field("spiffe_id", format!("{error}")))
}

fn parse_name(name: &str) -> Result<&str, Status> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(good) {
        return Err(bad_field(
            "name",
            "expected 1 to 63 lower-case letters, digits and dashes",
        ));
    }
    Ok(name)
}
