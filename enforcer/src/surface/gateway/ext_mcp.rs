//! agentgateway's `agentgateway.dev.ext_mcp.ExtMcp`: asked about what an MCP client wants, and about the lists that servers answer.
//!
//! The gateway routes, and merges what several servers offer; what is shown here is what each server gets, by the server's own names.
//!
//! **Invariant**: it only translates. What can't be read in one way or is of nobody is refused, by an answer that no failure mode opens; of
//! a list of tools a client gets what its task may use.

use std::sync::Arc;

use bytes::Bytes;
use checkrein_proto::ext_mcp::authorization_error::Code;
use checkrein_proto::ext_mcp::ext_mcp_server::{ExtMcp, ExtMcpServer};
use checkrein_proto::ext_mcp::{
    AuthorizationError, HeaderMutation, McpHeader, McpRequest, McpRequestResult, McpResponse,
    McpResponseResult, Pass, mcp_request_result, mcp_response_result,
};
use checkrein_proto::value::Kind;
use checkrein_proto::{Struct, Value};
use checkrein_shared::identity::SpiffeId;
use tonic::{Request, Response, Status};

use super::asking::{Asking, Carried, Credentials, REMOVED, Said, once};
use crate::surface::mcp::posted::{Headers, Posted, Unspoken, Wanted, offered};

/// A question may have at most this many bytes: a list of tools, above all.
const CHECK_BYTES_MAX: usize = 16 << 20;
/// One message goes to so many servers at most.
const SERVERS_MAX: usize = 32;
/// What the gateway's configuration says of a request: which agent it is of,
const AGENT: &str = "checkrein_agent";
/// or the subject of the token that it verified;
const SUBJECT: &str = "checkrein_subject";
/// of a response, the grant of its request, which we gave back under this name.
const GRANT: &str = "checkrein_grant";

/// The service.
#[derive(Debug)]
pub(super) struct Guardrail {
    asking: Arc<Asking>,
}

impl Guardrail {
    pub(super) const fn new(asking: Arc<Asking>) -> Self {
        Self { asking }
    }

    pub(super) fn service(self) -> ExtMcpServer<Self> {
        ExtMcpServer::new(self).max_decoding_message_size(CHECK_BYTES_MAX)
    }

    /// The grant of a request that goes on.
    async fn request(&self, asked: &McpRequest) -> Result<String, AuthorizationError> {
        let unseen = |words: String| invalid(&Unspoken::unseen(words));
        let header = |name: &str| one(&asked.headers, name);
        let headers = Headers {
            method: header("mcp-method").map_err(unseen)?,
            name: header("mcp-name").map_err(unseen)?,
        };
        let credentials = Credentials::of(header).map_err(unseen)?;
        let agent = self.agent(asked.metadata_context.as_ref()).map_err(unseen)?;
        let servers = asked.service_names.len();
        if !(1..=SERVERS_MAX).contains(&servers) {
            let words = format!("a message goes to 1 to {SERVERS_MAX} servers, and this to {servers}");
            return Err(unseen(words));
        }
        for server in &asked.service_names {
            let params = asked.mcp_request.as_deref();
            let posted = Posted::shown(server, &asked.method, params, headers);
            if let Posted::Wants(wanted) = posted.map_err(|unspoken| invalid(&unspoken))? {
                self.wanted(wanted, &agent, &credentials).await?;
            }
        }
        Ok(credentials.grant)
    }

    async fn wanted(
        &self,
        wanted: Wanted,
        agent: &SpiffeId,
        credentials: &Credentials,
    ) -> Result<(), AuthorizationError> {
        let carried = Carried {
            agent: agent.clone(),
            credentials: credentials.clone(),
            tool: wanted.tool,
            arguments: wanted.arguments,
        };
        let (reason, answer) = match self.asking.decide(&carried).await {
            Said::Permit(_) => return Ok(()),
            Said::Deny(denied) => (denied.decided.reason.clone(), wanted.reply.denied(&denied)),
            Said::Hold(held) => (held.decided.reason.clone(), wanted.reply.pending(&held)),
            Said::Withheld(_, words) | Said::Undecided(words) => {
                let answer = wanted.reply.refused(&words);
                (words, answer)
            }
        };
        Err(refusal(Code::PermissionDenied, &reason, &answer))
    }

    /// What goes on in place of a result; none: the result itself.
    fn response(&self, asked: &McpResponse) -> Result<Option<Bytes>, AuthorizationError> {
        if asked.method != "tools/list" {
            return Ok(None);
        }
        let unseen = |words: String| invalid(&Unspoken::unseen(words));
        let context = asked.metadata_context.as_ref();
        let agent = self.agent(context).map_err(unseen)?;
        let grant = said(context, GRANT).unwrap_or_default();
        let offer = self.asking.offer(&agent, grant);
        let result = str::from_utf8(&asked.mcp_response);
        let result = result.map_err(|_| unseen("the result is not UTF-8".to_owned()))?;
        let shown = offered(&asked.service_names, result, offer.as_ref()).map_err(unseen)?;
        Ok((shown != result).then(|| Bytes::from(shown)))
    }

    fn agent(&self, context: Option<&Struct>) -> Result<SpiffeId, String> {
        self.asking
            .agent(said(context, AGENT).unwrap_or_default(), said(context, SUBJECT))
    }
}

#[tonic::async_trait]
impl ExtMcp for Guardrail {
    async fn check_request(
        &self,
        request: Request<McpRequest>,
    ) -> Result<Response<McpRequestResult>, Status> {
        let answer = match self.request(&request.into_inner()).await {
            Ok(grant) => McpRequestResult {
                result: Some(mcp_request_result::Result::Pass(Pass {})),
                header_mutation: Some(HeaderMutation {
                    set: Vec::new(),
                    remove: REMOVED.map(str::to_owned).to_vec(),
                }),
                metadata: Some(Struct {
                    fields: std::iter::once((GRANT.to_owned(), text(grant))).collect(),
                }),
            },
            Err(error) => McpRequestResult {
                result: Some(mcp_request_result::Result::Error(error)),
                ..McpRequestResult::default()
            },
        };
        Ok(Response::new(answer))
    }

    async fn check_response(
        &self,
        request: Request<McpResponse>,
    ) -> Result<Response<McpResponseResult>, Status> {
        let result = match self.response(&request.into_inner()) {
            Ok(None) => mcp_response_result::Result::Pass(Pass {}),
            Ok(Some(shown)) => mcp_response_result::Result::Mutated(shown),
            Err(error) => mcp_response_result::Result::Error(error),
        };
        Ok(Response::new(McpResponseResult { result: Some(result) }))
    }
}

/// What a header says.
fn one<'a>(headers: &'a [McpHeader], name: &str) -> Result<Option<&'a str>, String> {
    let named = headers
        .iter()
        .filter(|header| header.key.eq_ignore_ascii_case(name));
    once(name, named.map(|header| &*header.value))
}

/// What the gateway's configuration says.
fn said<'a>(context: Option<&'a Struct>, name: &str) -> Option<&'a str> {
    match &context?.fields.get(name)?.kind {
        Some(Kind::StringValue(said)) => Some(said),
        _ => None,
    }
}

fn text(text: String) -> Value {
    Value {
        kind: Some(Kind::StringValue(text)),
    }
}

fn invalid(unspoken: &Unspoken) -> AuthorizationError {
    refusal(Code::Invalid, &unspoken.words, &unspoken.answer())
}

/// A refusal with the error of this answer.
fn refusal(code: Code, reason: &str, answer: &str) -> AuthorizationError {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    AuthorizationError {
        code: code.into(),
        reason: reason.to_owned(),
        mcp_error: answer.get("error").map(|error| Bytes::from(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
