//! What a replica is told about sign-in by bearer token.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use checkrein_http::is_askable;

/// The claim that names a person.
const NAME_CLAIM_DEFAULT: &str = "preferred_username";
/// The claim that lists a person's groups.
const ROLES_CLAIM_DEFAULT: &str = "groups";
/// What names a person, at most issuers.
const SCOPE_DEFAULT: &str = "profile";

/// Sign-in of people, as it is written down: `[oidc]` in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcSettings {
    /// OIDC issuer whose tokens operators and approvers may sign in with: <https://login.acme.example>
    #[arg(
        id = "oidc_issuer",
        long = "oidc-issuer",
        value_name = "URL",
        env = "CHECKREIN_OIDC_ISSUER",
        hide_env_values = true
    )]
    pub issuer: Option<String>,
    /// Audience that such a token must be for
    #[arg(
        id = "oidc_audience",
        long = "oidc-audience",
        value_name = "AUDIENCE",
        env = "CHECKREIN_OIDC_AUDIENCE",
        hide_env_values = true
    )]
    pub audience: Option<String>,
    /// Claim that names the person; take one that is unique and that nobody can change for themselves [default: `preferred_username`]
    #[arg(
        id = "oidc_name_claim",
        long = "oidc-name-claim",
        value_name = "CLAIM",
        env = "CHECKREIN_OIDC_NAME_CLAIM",
        hide_env_values = true
    )]
    pub name_claim: Option<String>,
    /// Claim that lists the person's groups [default: groups]
    #[arg(
        id = "oidc_roles_claim",
        long = "oidc-roles-claim",
        value_name = "CLAIM",
        env = "CHECKREIN_OIDC_ROLES_CLAIM",
        hide_env_values = true
    )]
    pub roles_claim: Option<String>,
    /// Group whose members are operators; repeat for several
    #[arg(
        id = "oidc_operators",
        long = "oidc-operators",
        value_name = "GROUP",
        env = "CHECKREIN_OIDC_OPERATORS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub operators: Vec<String>,
    /// Group whose members are approvers; repeat for several
    #[arg(
        id = "oidc_approvers",
        long = "oidc-approvers",
        value_name = "GROUP",
        env = "CHECKREIN_OIDC_APPROVERS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub approvers: Vec<String>,
    /// CA certificate (PEM) to verify the issuer by [default: those of this machine]
    #[arg(
        id = "oidc_ca",
        long = "oidc-ca",
        value_name = "FILE",
        env = "CHECKREIN_OIDC_CA",
        hide_env_values = true
    )]
    pub ca: Option<PathBuf>,
    /// Client by which the issuer knows the web console: people sign in there with a button, and come back to `/sign-in/oidc/callback`
    #[arg(
        id = "oidc_client_id",
        long = "oidc-client-id",
        value_name = "CLIENT",
        env = "CHECKREIN_OIDC_CLIENT_ID",
        hide_env_values = true
    )]
    pub client_id: Option<String>,
    /// File with the secret of that client [default: none, for a public client]
    #[arg(
        id = "oidc_client_secret",
        long = "oidc-client-secret",
        value_name = "FILE",
        env = "CHECKREIN_OIDC_CLIENT_SECRET",
        hide_env_values = true
    )]
    pub client_secret: Option<PathBuf>,
    /// Scope that the console asks for beside `openid`; repeat for several [default: profile]
    #[arg(
        id = "oidc_scopes",
        long = "oidc-scope",
        value_name = "SCOPE",
        env = "CHECKREIN_OIDC_SCOPES",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub scopes: Vec<String>,
}

/// Sign-in of workloads, as it is written down: `[jwt_svid]` in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtSvidSettings {
    /// SPIFFE bundle whose `jwt-svid` keys sign the tokens of workloads; read again when it changes
    #[arg(
        id = "jwt_svid_keys",
        long = "jwt-svid-keys",
        value_name = "FILE",
        env = "CHECKREIN_JWT_SVID_KEYS",
        hide_env_values = true
    )]
    pub keys: Option<PathBuf>,
    /// Audience that such a token must be for
    #[arg(
        id = "jwt_svid_audience",
        long = "jwt-svid-audience",
        value_name = "AUDIENCE",
        env = "CHECKREIN_JWT_SVID_AUDIENCE",
        hide_env_values = true
    )]
    pub audience: Option<String>,
}

/// Whose tokens people sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// The issuer, exactly as its tokens say it.
    pub issuer: String,
    /// For whom a token must be.
    pub audience: String,
    /// The claim that names a person.
    pub name_claim: String,
    /// The claim that lists groups.
    pub roles_claim: String,
    /// Groups of operators.
    pub operators: Vec<String>,
    /// Groups of approvers.
    pub approvers: Vec<String>,
    /// By what CA the issuer is verified; none: those of this machine.
    pub ca: Option<PathBuf>,
    /// As what the issuer knows the console; none: people don't sign in there by it.
    pub client: Option<OidcClient>,
}

/// The console, as the issuer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcClient {
    /// By this id.
    pub id: String,
    /// With what is in this file; none: a public client.
    pub secret: Option<PathBuf>,
    /// What it asks for beside `openid`.
    pub scopes: Vec<String>,
}

/// Whose tokens workloads sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtSvid {
    /// The bundle's file.
    pub keys: PathBuf,
    /// For whom a token must be.
    pub audience: String,
}

/// Sign-in that can't be set up as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidSignIn {
    /// Half of it.
    #[error("{given} needs {missing} beside it")]
    Incomplete {
        /// What is there.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// An issuer that can't be asked.
    #[error("--oidc-issuer: `{0}` is not an https URL without query (http is for this machine only)")]
    Issuer(String),
    /// An empty value would match what nobody meant.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Not one scope.
    #[error("--oidc-scope: `{0}` is no scope; repeat the option for several")]
    Scope(String),
}

impl OidcSettings {
    /// What is not set here is taken from `file`.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        let lists = |ours: Vec<String>, theirs| if ours.is_empty() { theirs } else { ours };
        Self {
            issuer: self.issuer.or(file.issuer),
            audience: self.audience.or(file.audience),
            name_claim: self.name_claim.or(file.name_claim),
            roles_claim: self.roles_claim.or(file.roles_claim),
            operators: lists(self.operators, file.operators),
            approvers: lists(self.approvers, file.approvers),
            ca: self.ca.or(file.ca),
            client_id: self.client_id.or(file.client_id),
            client_secret: self.client_secret.or(file.client_secret),
            scopes: lists(self.scopes, file.scopes),
        }
    }

    /// Checks everything and fills in what nobody said.
    pub fn resolve(self) -> Result<Option<Oidc>, InvalidSignIn> {
        let lacks = |given, missing| InvalidSignIn::Incomplete { given, missing };
        let Some(issuer) = self.issuer else {
            let rest = Self { issuer: None, ..self };
            return if rest == Self::default() {
                Ok(None)
            } else {
                Err(lacks("sign-in by OIDC", "--oidc-issuer"))
            };
        };
        if !is_askable(&issuer) {
            return Err(InvalidSignIn::Issuer(issuer));
        }
        let audience = self
            .audience
            .ok_or_else(|| lacks("--oidc-issuer", "--oidc-audience"))?;
        if self.operators.is_empty() && self.approvers.is_empty() {
            return Err(lacks("--oidc-issuer", "--oidc-operators or --oidc-approvers"));
        }
        if audience.is_empty() {
            return Err(InvalidSignIn::Empty("--oidc-audience"));
        }
        if self.operators.iter().chain(&self.approvers).any(String::is_empty) {
            return Err(InvalidSignIn::Empty(
                "a group of --oidc-operators or --oidc-approvers",
            ));
        }
        let client = client(self.client_id, self.client_secret, self.scopes)?;
        Ok(Some(Oidc {
            issuer,
            audience,
            name_claim: self.name_claim.unwrap_or_else(|| NAME_CLAIM_DEFAULT.to_owned()),
            roles_claim: self.roles_claim.unwrap_or_else(|| ROLES_CLAIM_DEFAULT.to_owned()),
            operators: self.operators,
            approvers: self.approvers,
            ca: self.ca,
            client,
        }))
    }
}

impl JwtSvidSettings {
    /// What is not set here is taken from `file`.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            keys: self.keys.or(file.keys),
            audience: self.audience.or(file.audience),
        }
    }

    /// Both or neither.
    pub fn resolve(self) -> Result<Option<JwtSvid>, InvalidSignIn> {
        let lacks = |given, missing| InvalidSignIn::Incomplete { given, missing };
        match (self.keys, self.audience) {
            (Some(_), Some(audience)) if audience.is_empty() => {
                Err(InvalidSignIn::Empty("--jwt-svid-audience"))
            }
            (Some(keys), Some(audience)) => Ok(Some(JwtSvid { keys, audience })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(lacks("--jwt-svid-keys", "--jwt-svid-audience")),
            (None, Some(_)) => Err(lacks("--jwt-svid-audience", "--jwt-svid-keys")),
        }
    }
}

fn client(
    id: Option<String>,
    secret: Option<PathBuf>,
    scopes: Vec<String>,
) -> Result<Option<OidcClient>, InvalidSignIn> {
    let lacks = |given| InvalidSignIn::Incomplete {
        given,
        missing: "--oidc-client-id",
    };
    let Some(id) = id else {
        return match secret {
            Some(_) => Err(lacks("--oidc-client-secret")),
            None if !scopes.is_empty() => Err(lacks("--oidc-scope")),
            None => Ok(None),
        };
    };
    if id.is_empty() {
        return Err(InvalidSignIn::Empty("--oidc-client-id"));
    }
    // A space stands between scopes.
    let is_scope = |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(bad) = scopes.iter().find(|scope| !is_scope(scope)) {
        return Err(InvalidSignIn::Scope(bad.clone()));
    }
    let scopes = if scopes.is_empty() {
        vec![SCOPE_DEFAULT.to_owned()]
    } else {
        scopes
    };
    Ok(Some(OidcClient { id, secret, scopes }))
}

#[cfg(test)]
mod tests;
