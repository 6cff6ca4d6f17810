//! What is written down about notifications: the file that `serve --notifications` names.
//!
//! ```toml
//! console_url = "https://checkrein.acme.example"
//!
//! [webhook.pager]
//! url = "https://pager.acme.example/checkrein"
//! secret_files = ["pager.secret"]
//! groups = ["treasury"]
//! ```
//!
//! **Invariant**: the file is read wholly, with every secret it names, before anything is served; what can't be used is refused
//! with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use ipnet::IpNet;
use serde::Deserialize;
use thiserror::Error;

use super::channel::{Channel, Form, Target};
use super::email::{Email, EmailSettings};
use super::secret::{Secret, SecretError, read_line};
use super::webhook::parse_secret;
use super::{InvalidKind, Kind};

/// So many channels may be configured.
const CHANNELS_MAX: usize = 16;
/// A name of a channel has so many characters.
const NAME_CHARS_MAX: usize = 64;
/// So many groups may a channel be for; so many networks may it reach.
const LIST_MAX: usize = 100;
/// So many secrets may a webhook be signed with: the new one and those that are on their way out.
const SECRETS_MAX: usize = 4;
/// How long before a deadline people are reminded.
const REMIND_BEFORE_DEFAULT: Duration = Duration::from_mins(10);
const REMIND_BEFORE_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(7 * 24);

/// Which channels there are, with all that they need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifications {
    /// Where links lead; none: there are no links.
    pub(super) console_url: Option<String>,
    /// How long before a hold's deadline people are reminded.
    pub(super) remind_before: Duration,
    /// By name.
    pub(super) channels: Vec<Channel>,
}

/// A file that can't be used.
#[derive(Debug, Error)]
pub enum InvalidNotifications {
    /// It can't be read.
    #[error("can't read `{}`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("`{}` does not say which notifications there are", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Something in it.
    #[error("`{}`: {what}", path.display())]
    Setting {
        /// Of which file.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// One of its channels.
    #[error("`{}`: channel `{channel}`", path.display())]
    Channel {
        /// Of which file.
        path: PathBuf,
        /// Which.
        channel: String,
        /// Why.
        #[source]
        source: InvalidChannel,
    },
}

/// A channel that can't be used.
#[derive(Debug, Error)]
pub enum InvalidChannel {
    /// Its name.
    #[error(
        "a name is of lower-case letters, digits and dashes, at most {NAME_CHARS_MAX}, and of one channel only"
    )]
    Name,
    /// An event that there is not.
    #[error(transparent)]
    Kind(#[from] InvalidKind),
    /// Too much of something.
    #[error("{0}: at most {LIST_MAX} are allowed")]
    TooMany(&'static str),
    /// An empty name of a group.
    #[error("groups: a name is empty")]
    EmptyGroup,
    /// Not where one can post.
    #[error(
        "the URL must be `https://host/path`, without user or fragment (`http` is for addresses in `allow_internal`)"
    )]
    Url,
    /// Not a network.
    #[error("allow_internal: `{0}` is not a network such as 10.0.0.0/8")]
    Network(String),
    /// Nothing to sign with.
    #[error("secret_files: name 1 to {SECRETS_MAX} files, the current secret first")]
    Secrets,
    /// Not a secret to sign with.
    #[error("`{}` must be `whsec_` and 24 to 64 random bytes in base64", .0.display())]
    NotASecret(PathBuf),
    /// A file.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// How e-mail is sent.
    #[error("{0}")]
    Email(String),
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    console_url: Option<String>,
    remind_before: Option<String>,
    #[serde(default)]
    webhook: BTreeMap<String, WebhookSettings>,
    #[serde(default)]
    slack: BTreeMap<String, ChatSettings>,
    #[serde(default)]
    teams: BTreeMap<String, ChatSettings>,
    #[serde(default)]
    email: BTreeMap<String, EmailSettings>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookSettings {
    url: String,
    secret_files: Vec<PathBuf>,
    #[serde(default)]
    groups: Vec<String>,
    events: Option<Vec<String>>,
    #[serde(default)]
    allow_internal: Vec<String>,
    ca: Option<PathBuf>,
}

/// Whoever knows the URL of such a channel can post to it: so it stands in a file of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatSettings {
    url_file: PathBuf,
    #[serde(default)]
    groups: Vec<String>,
    events: Option<Vec<String>>,
    #[serde(default)]
    allow_internal: Vec<String>,
    ca: Option<PathBuf>,
}

impl Notifications {
    /// Reads a file. Paths in it are relative to its directory.
    pub fn read(path: &Path) -> Result<Self, InvalidNotifications> {
        let text = std::fs::read_to_string(path).map_err(|source| InvalidNotifications::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let file: File = toml::from_str(&text).map_err(|source| InvalidNotifications::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let bad = |what: String| InvalidNotifications::Setting {
            path: path.to_owned(),
            what,
        };
        let console_url = file
            .console_url
            .as_deref()
            .map(console)
            .transpose()
            .map_err(bad)?;
        let remind_before = remind_before(file.remind_before.as_deref()).map_err(bad)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let webhooks = file
            .webhook
            .into_iter()
            .map(|(name, settings)| (name.clone(), settings.resolve(name, base)));
        let slacks = file
            .slack
            .into_iter()
            .map(|(name, settings)| (name.clone(), settings.resolve(name, base, Form::Slack)));
        let teams = file
            .teams
            .into_iter()
            .map(|(name, settings)| (name.clone(), settings.resolve(name, base, Form::Teams)));
        let emails = file
            .email
            .into_iter()
            .map(|(name, settings)| (name.clone(), email(name, settings, base)));
        let mut channels: Vec<Channel> = Vec::new();
        for (name, channel) in webhooks.chain(slacks).chain(teams).chain(emails) {
            let is_taken = channels.iter().any(|other| other.name == name);
            let channel = channel.and_then(|channel| {
                (is_good_name(&name) && !is_taken)
                    .then_some(channel)
                    .ok_or(InvalidChannel::Name)
            });
            channels.push(channel.map_err(|source| InvalidNotifications::Channel {
                path: path.to_owned(),
                channel: name,
                source,
            })?);
        }
        if channels.len() > CHANNELS_MAX {
            return Err(bad(format!("at most {CHANNELS_MAX} channels are allowed")));
        }
        Ok(Self {
            console_url,
            remind_before,
            channels,
        })
    }

    /// What `serve` says of them: each channel's name, what it is, and for whom.
    pub fn said(&self) -> Vec<String> {
        self.channels.iter().map(Channel::said).collect()
    }
}

impl WebhookSettings {
    fn resolve(self, name: String, base: &Path) -> Result<Channel, InvalidChannel> {
        let keys = self.secret_files.iter().map(|path| {
            let path = base.join(path);
            parse_secret(&read_line(&path)?).ok_or(InvalidChannel::NotASecret(path))
        });
        let keys: Vec<Secret> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() || keys.len() > SECRETS_MAX {
            return Err(InvalidChannel::Secrets);
        }
        let target = target(&self.url, &self.allow_internal, self.ca, base)?;
        channel(name, self.groups, self.events, Form::Webhook(target, keys))
    }
}

impl ChatSettings {
    fn resolve(self, name: String, base: &Path, form: fn(Target) -> Form) -> Result<Channel, InvalidChannel> {
        let url = read_line(&base.join(self.url_file))?;
        let target = target(&url, &self.allow_internal, self.ca, base)?;
        channel(name, self.groups, self.events, form(target))
    }
}

fn email(name: String, mut settings: EmailSettings, base: &Path) -> Result<Channel, InvalidChannel> {
    let (groups, events) = (std::mem::take(&mut settings.groups), settings.events.take());
    channel(
        name,
        groups,
        events,
        Form::Email(Box::new(Email::resolve(settings, base)?)),
    )
}

fn channel(
    name: String,
    groups: Vec<String>,
    events: Option<Vec<String>>,
    form: Form,
) -> Result<Channel, InvalidChannel> {
    if groups.len() > LIST_MAX {
        return Err(InvalidChannel::TooMany("groups"));
    }
    if groups.iter().any(String::is_empty) {
        return Err(InvalidChannel::EmptyGroup);
    }
    let kinds: BTreeSet<Kind> = match events {
        Some(events) => events
            .iter()
            .map(|word| Kind::asked(word))
            .collect::<Result<_, _>>()?,
        None => Kind::usual().collect(),
    };
    Ok(Channel {
        name,
        groups,
        kinds,
        form,
    })
}

fn target(url: &str, allowed: &[String], ca: Option<PathBuf>, base: &Path) -> Result<Target, InvalidChannel> {
    let uri: Uri = url.parse().map_err(|_| InvalidChannel::Url)?;
    let is_plain = uri.scheme_str() == Some("http");
    let has_user = uri
        .authority()
        .is_none_or(|authority| authority.as_str().contains('@'));
    if has_user || url.contains('#') || !(is_plain || uri.scheme_str() == Some("https")) {
        return Err(InvalidChannel::Url);
    }
    // Nothing but an internal address may be reached in the clear, and there is none.
    if is_plain && allowed.is_empty() {
        return Err(InvalidChannel::Url);
    }
    if allowed.len() > LIST_MAX {
        return Err(InvalidChannel::TooMany("allow_internal"));
    }
    let net = |text: &String| text.parse().map_err(|_| InvalidChannel::Network(text.clone()));
    let allowed: Vec<IpNet> = allowed.iter().map(net).collect::<Result<_, _>>()?;
    Ok(Target {
        uri: Secret::new(url.as_bytes().to_vec()),
        host: uri.host().unwrap_or_default().to_owned(),
        allowed,
        ca: ca.map(|ca| base.join(ca)),
    })
}

/// Where links lead, without a slash at its end.
fn console(url: &str) -> Result<String, String> {
    let uri: Option<Uri> = url.parse().ok();
    let is_web = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !is_web || url.contains(['?', '#', '@', '|', '<', '>', '"']) {
        return Err(format!(
            "console_url: `{url}` is not a URL such as https://checkrein.acme.example"
        ));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn remind_before(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text else {
        return Ok(REMIND_BEFORE_DEFAULT);
    };
    let parsed = humantime::parse_duration(text).ok();
    parsed
        .filter(|before| REMIND_BEFORE_RANGE.contains(before))
        .ok_or_else(|| format!("remind_before: `{text}` is not a duration from 1s to 7d, such as 10m"))
}

fn is_good_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(is_good)
}
