//! A channel: whom it is for, what of, and how a message gets there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use checkrein_shared::action::Sha256;
use ipnet::IpNet;
use serde_json::Value;
use tokio_rustls::TlsConnector;

use super::email::Email;
use super::message::Message;
use super::post::post;
use super::secret::Secret;
use super::{Kind, slack, teams, webhook};
use checkrein_http::{InvalidCa, trusting};

/// The type of what chats take.
const CHAT_CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// One configured channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel {
    pub name: String,
    /// For which groups; empty: for all.
    pub groups: Vec<String>,
    pub kinds: BTreeSet<Kind>,
    pub form: Form,
}

/// How it gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Signed with each of these keys.
    Webhook(Target, Vec<Secret>),
    Slack(Target),
    Teams(Target),
    Email(Box<Email>),
}

/// Where to post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The URL. That of a chat is all it takes to write there, so it is never shown.
    pub uri: Secret,
    /// Its host, which may be shown.
    pub host: String,
    /// The internal networks that it may be in.
    pub allowed: Vec<IpNet>,
    /// The CA that certified it; none: those of this machine.
    pub ca: Option<PathBuf>,
}

/// A message that did not get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may get there later; the receiver may have said when.
    Later(String, Option<Duration>),
    /// It never will.
    Never(String),
    /// Nothing will: the receiver wants no more.
    Gone(String),
}

/// How a message is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling<'a> {
    /// By whom: the SPIFFE ID of control planes.
    pub source: &'a str,
    /// To whom of the channel; empty: wherever it leads.
    pub recipient: &'a str,
    /// How long it may take.
    pub within: Duration,
}

/// Carries the messages of one channel.
pub(super) struct Courier {
    pub channel: Channel,
    /// For whatever goes over HTTP.
    tls: Option<TlsConnector>,
}

impl Channel {
    /// Whether it is to hear of an event that these groups have to do with.
    pub(super) fn hears_of(&self, kind: Kind, groups: &[String]) -> bool {
        self.kinds.contains(&kind)
            && (self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group)))
    }

    /// Whom a message goes to, each by one of its own; of a channel that leads to one place: the empty name.
    pub(super) fn recipients(&self) -> BTreeSet<String> {
        match &self.form {
            Form::Email(email) => email.addresses(),
            Form::Webhook(..) | Form::Slack(_) | Form::Teams(_) => BTreeSet::from([String::new()]),
        }
    }

    /// Names the channel for people, without a secret.
    pub(super) fn said(&self) -> String {
        let (form, where_to) = match &self.form {
            Form::Webhook(target, _) => ("webhook", &target.host),
            Form::Slack(target) => ("slack", &target.host),
            Form::Teams(target) => ("teams", &target.host),
            Form::Email(email) => ("email", &email.server),
        };
        let groups = if self.groups.is_empty() {
            "all groups".to_owned()
        } else {
            self.groups.join(", ")
        };
        format!("{} ({form} at {where_to}, for {groups})", self.name)
    }

    /// Changes with where it leads: a channel that was turned off is on again once it leads elsewhere.
    pub(super) fn fingerprint(&self) -> Sha256 {
        match &self.form {
            Form::Webhook(target, _) | Form::Slack(target) | Form::Teams(target) => {
                Sha256::of(target.uri.bytes())
            }
            Form::Email(email) => Sha256::of(email.server.as_bytes()),
        }
    }

    fn target(&self) -> Option<&Target> {
        match &self.form {
            Form::Webhook(target, _) | Form::Slack(target) | Form::Teams(target) => Some(target),
            Form::Email(_) => None,
        }
    }
}

impl Courier {
    /// Reads whom to trust.
    pub(super) fn new(channel: Channel) -> Result<Self, InvalidCa> {
        let target = channel.target();
        let tls = target.map(|target| trusting(target.ca.as_deref())).transpose()?;
        Ok(Self { channel, tls })
    }

    /// Brings one message to where the channel leads, once, in so much time.
    pub(super) async fn carry(
        &self,
        message: &Message,
        telling: &Telling<'_>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let (target, body, mut headers) = match &self.channel.form {
            Form::Email(email) => return email.send(message, telling, now_ms).await,
            Form::Webhook(target, keys) => {
                let body = encoded(&webhook::event(message, telling.source));
                let headers = webhook::sign(&message.id.to_string(), now_ms, &body, keys);
                (target, body, headers.to_vec())
            }
            Form::Slack(target) => (target, encoded(&slack::body(message)), Vec::new()),
            Form::Teams(target) => (target, encoded(&teams::body(message)), Vec::new()),
        };
        let content_type = match self.channel.form {
            Form::Webhook(..) => webhook::CONTENT_TYPE,
            _ => CHAT_CONTENT_TYPE,
        };
        headers.push(("content-type", content_type.to_owned()));
        let Some(tls) = &self.tls else {
            return Err(Failure::Never("the channel has no TLS".to_owned()));
        };
        post(target, tls, &headers, body, (now_ms, telling.within)).await
    }
}

fn encoded(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Courier").field(&self.channel.name).finish()
    }
}
