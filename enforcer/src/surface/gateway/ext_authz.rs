//! Envoy's external authorization: `envoy.service.auth.v3.Authorization/Check`, asked by Envoy, Istio, Envoy Gateway and agentgateway.
//!
//! | file | what it does |
//! |---|---|
//! | `carried` | which call a request in plain HTTP is, and whether all of it is here |
//! | `answers` | what a gateway, and through it a client, is told |
//!
//! **Invariant**: it only translates. A request that no route names, whose agent nobody names, or of which a part is not here is denied,
//! by an answer that no `failure_mode_allow` opens.

mod answers;
mod carried;

use std::sync::Arc;

use checkrein_proto::ext_authz::authorization_server::{Authorization, AuthorizationServer};
use checkrein_proto::ext_authz::{AttributeContext, CheckRequest, CheckResponse};
use checkrein_shared::identity::SpiffeId;
use tonic::{Request, Response, Status};

use super::asking::{Asking, Carried, Credentials, Said, subject};
use crate::config::{GatewayRoute, RequestPattern};
use crate::surface::mcp::posted::{Headers, Posted, Unspoken};
use answers::{McpAnswer, Refusal};
use carried::Seen;

/// A question may have at most this many bytes: a body as large as arguments may be, and its headers.
const CHECK_BYTES_MAX: usize = 2 << 20;
/// Where Envoy's filter for tokens says what it verified.
const JWT: &str = "envoy.filters.http.jwt_authn";
/// What a route says of itself: it leads to an MCP server, by its name in the catalog.
const MCP: &str = "checkrein.mcp";
/// Or it is a call of this tool,
const TOOL: &str = "checkrein.tool";
/// if the request is this one.
const ROUTE: &str = "checkrein.route";

/// The service.
#[derive(Debug)]
pub(super) struct ExtAuthz {
    asking: Arc<Asking>,
    /// The one that says most first.
    routes: Vec<GatewayRoute>,
}

/// What a request is about.
enum Leads {
    /// To an MCP server.
    Mcp(String),
    /// To a service in plain HTTP.
    Http { tool: String, arguments: String },
}

impl ExtAuthz {
    pub(super) fn new(asking: Arc<Asking>, mut routes: Vec<GatewayRoute>) -> Self {
        routes.sort_by_key(|route| route.request.looseness());
        Self { asking, routes }
    }

    pub(super) fn service(self) -> AuthorizationServer<Self> {
        AuthorizationServer::new(self).max_decoding_message_size(CHECK_BYTES_MAX)
    }

    async fn answer(&self, attributes: &AttributeContext) -> Result<CheckResponse, Refusal> {
        let seen = Seen::of(attributes)?;
        let agent = self.agent(attributes);
        match self.leads(attributes, &seen)? {
            Leads::Mcp(server) => Ok(self.mcp(&server, &seen, agent).await),
            Leads::Http { tool, arguments } => {
                let carried = Carried {
                    agent: agent.map_err(|words| Refusal::new("no_agent", words))?,
                    credentials: credentials(&seen).map_err(|words| Refusal::new("two_grants", words))?,
                    tool,
                    arguments,
                };
                Ok(answers::plain(self.asking.decide(&carried).await))
            }
        }
    }

    fn agent(&self, attributes: &AttributeContext) -> Result<SpiffeId, String> {
        let principal = attributes.source.as_ref().map(|source| &*source.principal);
        let metadata = attributes.metadata_context.as_ref();
        let token = metadata.and_then(|metadata| metadata.filter_metadata.get(JWT));
        self.asking
            .agent(principal.unwrap_or_default(), token.and_then(subject))
    }

    /// Where a request leads, by what its route says, or by the routes of the configuration.
    fn leads(&self, attributes: &AttributeContext, seen: &Seen<'_>) -> Result<Leads, Refusal> {
        let said = |name: &str| attributes.context_extensions.get(name).map(String::as_str);
        let invalid = |words: String| Refusal::new("invalid_route", words);
        match (said(MCP), said(TOOL), said(ROUTE)) {
            (Some(server), None, None) => Ok(Leads::Mcp(server.to_owned())),
            (None, Some(tool), Some(pattern)) => {
                let pattern: RequestPattern = pattern.parse().map_err(|error| invalid(format!("{error}")))?;
                seen.call(tool, &pattern)?
                    .ok_or_else(|| Refusal::no_route(seen.method))
            }
            (None, None, None) => {
                for route in &self.routes {
                    if let Some(leads) = seen.call(&route.tool, &route.request)? {
                        return Ok(leads);
                    }
                }
                Err(Refusal::no_route(seen.method))
            }
            _ => Err(invalid(format!(
                "the gateway's route says `{MCP}`, or `{TOOL}` together with `{ROUTE}`, and nothing else"
            ))),
        }
    }

    /// Decides what a client wants of an MCP server.
    async fn mcp(&self, server: &str, seen: &Seen<'_>, agent: Result<SpiffeId, String>) -> CheckResponse {
        let posted = match Self::posted(server, seen) {
            Ok(posted) => posted,
            Err(unspoken) => return answers::mcp(McpAnswer::unspoken(&unspoken)),
        };
        let presented = agent.and_then(|agent| Ok((agent, credentials(seen)?)));
        let (agent, credentials) = match (presented, &posted) {
            (Ok(presented), _) => presented,
            (Err(words), Posted::Wants(wanted)) => {
                return answers::mcp(McpAnswer::request(wanted.reply.refused(&words), words));
            }
            (Err(words), Posted::ListsTools(reply)) => {
                return answers::mcp(McpAnswer::request(reply.refused(&words), words));
            }
            (Err(words), Posted::Passes) => {
                return answers::mcp(McpAnswer::unspoken(&Unspoken::unseen(words)));
            }
        };
        let wanted = match posted {
            Posted::Passes => return answers::passes(None),
            Posted::ListsTools(reply) => {
                let is_believed = self.asking.offer(&agent, &credentials.grant).is_some();
                return match reply.nothing().filter(|_| !is_believed) {
                    Some(nothing) => {
                        answers::mcp(McpAnswer::request(nothing, "no grant is believed".to_owned()))
                    }
                    None => answers::passes(None),
                };
            }
            Posted::Wants(wanted) => wanted,
        };
        if let Some(nothing) = wanted.reply.nothing() {
            let offer = self.asking.offer(&agent, &credentials.grant);
            let is_unoffered = offer.is_some_and(|offer| offer.definition(&wanted.tool).is_none());
            if is_unoffered {
                return answers::mcp(McpAnswer::request(
                    nothing,
                    "nothing of it is in scope".to_owned(),
                ));
            }
        }
        let carried = Carried {
            agent,
            credentials,
            tool: wanted.tool,
            arguments: wanted.arguments,
        };
        match self.asking.decide(&carried).await {
            Said::Permit(decided) => answers::passes(Some(&decided)),
            said => answers::mcp(McpAnswer::decided(&wanted.reply, said)),
        }
    }

    fn posted(server: &str, seen: &Seen<'_>) -> Result<Posted, Unspoken> {
        // A stream of what the server says, and the end of a session.
        if matches!(seen.method, "GET" | "DELETE") && seen.has_no_body() {
            return Ok(Posted::Passes);
        }
        if seen.method != "POST" {
            let words = "MCP is spoken by POST, GET and DELETE, the last two without a body";
            return Err(Unspoken::unseen(words));
        }
        let headers = Headers {
            method: seen.header("mcp-method"),
            name: seen.header("mcp-name"),
        };
        let body = seen.json().map_err(|refusal| Unspoken::unseen(refusal.words))?;
        let body = body.ok_or_else(|| Unspoken::unseen("there is no message in the body"))?;
        Posted::read(server, body.as_bytes(), headers)
    }
}

fn credentials(seen: &Seen<'_>) -> Result<Credentials, String> {
    Credentials::of(|name| Ok(seen.header(name)))
}

#[tonic::async_trait]
impl Authorization for ExtAuthz {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap_or_default();
        let answer = self.answer(&attributes).await;
        Ok(Response::new(answer.unwrap_or_else(|refusal| refusal.answer())))
    }
}

#[cfg(test)]
mod tests;
