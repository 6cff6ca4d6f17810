//! What a replica is told about sign-in by bearer token.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::caller::is_askable;

/// The claim that names a person.
const NAME_CLAIM_DEFAULT: &str = "preferred_username";
/// The claim that lists a person's groups.
const ROLES_CLAIM_DEFAULT: &str = "groups";

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
        Ok(Some(Oidc {
            issuer,
            audience,
            name_claim: self.name_claim.unwrap_or_else(|| NAME_CLAIM_DEFAULT.to_owned()),
            roles_claim: self.roles_claim.unwrap_or_else(|| ROLES_CLAIM_DEFAULT.to_owned()),
            operators: self.operators,
            approvers: self.approvers,
            ca: self.ca,
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

#[cfg(test)]
mod tests;
