//! What can go wrong with a command, and what to do next.

use std::error::Error as _;
use std::io;

use thiserror::Error;

use super::client::{ConfigError, ConnectError};
use super::hold::{RemarkError, VoteError};
use super::identity::IdentityError;
use super::join::JoinError;
use super::policy::PackError;
use super::status::Refusal;
use super::task::GrantError;
use crate::beside::NoEnforcer;
use crate::config::InvalidConfig;
use crate::demo::DemoError;
use crate::installation::InstallationError;

/// Why a command ended without doing what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The client config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No control plane.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The control plane said no.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// Keys and certificates on this machine.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nobody joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Who signs in by token has nothing to renew here.
    #[error("you sign in with a token, and its issuer renews that; `identity renew` renews a certificate")]
    NoCertificate,
    /// A policy directory.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A vote that was not cast.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// A remark that was not made.
    #[error(transparent)]
    Remark(#[from] RemarkError),
    /// A grant, or the key of whoever holds it.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The settings of a control plane.
    #[error(transparent)]
    Settings(#[from] InvalidConfig),
    /// A control plane that can't serve.
    #[error(transparent)]
    Serve(Box<InstallationError>),
    /// The enforcer beside it.
    #[error(transparent)]
    Beside(#[from] NoEnforcer),
    /// The demo.
    #[error(transparent)]
    Demo(#[from] Box<DemoError>),
    /// Standard output.
    #[error("can't write the answer")]
    Output(#[from] io::Error),
    /// A field that the contract promises is missing.
    #[error("the control plane answered without `{0}`; are both of the same version?")]
    Incomplete(&'static str),
}

impl Error {
    /// Whether the reader of our output went away, which is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// One word for scripts.
    pub fn code(&self) -> &str {
        match self {
            Self::Config(_) => "invalid_config",
            Self::Connect(_) => "unreachable",
            Self::Refused(refusal) => refusal.code(),
            Self::Identity(_) | Self::NoCertificate => "identity",
            Self::Join(_) => "not_joined",
            Self::Pack(_) => "invalid_pack",
            Self::Vote(_) => "not_voted",
            Self::Remark(_) => "not_said",
            Self::Grant(_) => "invalid_grant",
            Self::Settings(_) => "invalid_settings",
            Self::Serve(_) => "serve",
            Self::Beside(_) => "no_enforcer",
            Self::Demo(_) => "demo",
            Self::Output(_) => "output",
            Self::Incomplete(_) => "incomplete_answer",
        }
    }

    /// What to do next, where the message does not say it already.
    pub fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => refusal.next_step(),
            _ => None,
        }
    }

    /// The error and what caused it, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let causes = std::iter::successors(self.source(), |cause| (**cause).source());
        std::iter::once(self.to_string())
            .chain(causes.map(ToString::to_string))
            .collect()
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(Refusal::from(status)))
    }
}
