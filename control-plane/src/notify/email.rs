//! E-mail over SMTP: plain text, over TLS unless the server is on this machine.
//!
//! Each recipient gets a letter of their own: a server that refuses one of them says nothing of the others.
//!
//! **Invariant**: text of others gets into the subject and the body only, on one line and encoded; whom a message goes to and
//! comes from is what was configured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde::Deserialize;
use tokio::time::timeout;

use super::channel::{Failure, Telling};
use super::message::Message;
use super::post::{CONNECT_MAX, too_late};
use super::secret::{Secret, read_line};
use super::settings::InvalidChannel;

/// So many people get a message.
const RECIPIENTS_MAX: usize = 20;

/// As it is written down.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailSettings {
    server: String,
    port: Option<u16>,
    #[serde(default)]
    tls: Encryption,
    user: Option<String>,
    password_file: Option<PathBuf>,
    from: String,
    to: Vec<String>,
    ca: Option<PathBuf>,
    #[serde(default)]
    pub groups: Vec<String>,
    pub events: Option<Vec<String>>,
}

/// When the connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encryption {
    /// From the start (RFC 8314).
    #[default]
    Implicit,
    /// After asking for it, which must be granted (RFC 3207).
    Starttls,
    /// Never: on this machine only.
    None,
}

/// How and whom to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Email {
    pub server: String,
    port: u16,
    encryption: Encryption,
    login: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// PEM; none: the CAs of this machine.
    ca: Option<Vec<u8>>,
}

impl Email {
    /// Checks everything, and reads the files.
    pub(super) fn resolve(settings: EmailSettings, base: &Path) -> Result<Self, InvalidChannel> {
        let bad = |what: &str| InvalidChannel::Email(what.to_owned());
        if settings.server.is_empty() || settings.server.contains(|c: char| c.is_control() || c == ' ') {
            return Err(bad("server: name the host of an SMTP server"));
        }
        if settings.tls == Encryption::None && !is_this_machine(&settings.server) {
            return Err(bad(
                "tls: `none` is for a server on this machine only; take `implicit` or `starttls`",
            ));
        }
        if settings.to.is_empty() || settings.to.len() > RECIPIENTS_MAX {
            return Err(InvalidChannel::Email(format!(
                "to: name 1 to {RECIPIENTS_MAX} addresses"
            )));
        }
        let mailbox = |text: &String| {
            text.parse::<Mailbox>()
                .map_err(|_| InvalidChannel::Email(format!("`{text}` is not an address of e-mail")))
        };
        let login = match (settings.user, settings.password_file) {
            (Some(user), Some(path)) => Some((user, Secret::new(read_line(&base.join(path))?.into_bytes()))),
            (None, None) => None,
            _ => return Err(bad("user and password_file go together")),
        };
        let ca = settings.ca.map(|path| base.join(path)).map(|path| {
            let failed = |why: String| InvalidChannel::Email(format!("ca: `{}`: {why}", path.display()));
            let pem = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
            Certificate::from_pem(&pem).map_err(|error| failed(error.to_string()))?;
            Ok::<_, InvalidChannel>(pem)
        });
        let port = settings.port.unwrap_or(match settings.tls {
            Encryption::Implicit => 465,
            Encryption::Starttls => 587,
            Encryption::None => 25,
        });
        Ok(Self {
            server: settings.server,
            port,
            encryption: settings.tls,
            login,
            from: mailbox(&settings.from)?,
            to: settings.to.iter().map(mailbox).collect::<Result<_, _>>()?,
            ca: ca.transpose()?,
        })
    }

    /// Whom messages go to, each once.
    pub(super) fn addresses(&self) -> BTreeSet<String> {
        self.to.iter().map(|to| to.email.to_string()).collect()
    }

    /// Sends one message to one recipient, once.
    pub(super) async fn send(
        &self,
        message: &Message,
        telling: &Telling<'_>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let to = self.recipients(telling.recipient)?;
        let letter = self.letter(message, &to, now_ms).map_err(Failure::Never)?;
        let transport = self.transport().map_err(Failure::Never)?;
        match timeout(telling.within, transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err(Failure::Never(format!(
                "the server refused it: {}",
                chain(&error)
            ))),
            Ok(Err(error)) => Err(Failure::Later(chain(&error), None)),
            Err(_) => Err(Failure::Later(too_late(telling.within), None)),
        }
    }

    /// Whoever has this address; a message that was made before each had one of their own goes to all.
    fn recipients(&self, address: &str) -> Result<Vec<&Mailbox>, Failure> {
        let to: Vec<&Mailbox> = self
            .to
            .iter()
            .filter(|to| address.is_empty() || to.email.to_string() == address)
            .take(if address.is_empty() { RECIPIENTS_MAX } else { 1 })
            .collect();
        if to.is_empty() {
            // Another replica may have a newer file.
            let why = format!("`{address}` is not among those whom this replica's channel is for");
            return Err(Failure::Later(why, None));
        }
        Ok(to)
    }

    fn letter(&self, message: &Message, to: &[&Mailbox], now_ms: u64) -> Result<lettre::Message, String> {
        let mut letter: MessageBuilder = lettre::Message::builder()
            .from(self.from.clone())
            .date(UNIX_EPOCH + Duration::from_millis(now_ms))
            .message_id(Some(format!("<{}@{}>", message.id, self.from.email.domain())))
            .subject(format!("Checkrein. {}", message.title()))
            .header(ContentType::TEXT_PLAIN);
        for to in to {
            letter = letter.to((*to).clone());
        }
        letter
            .body(text(message))
            .map_err(|error| format!("the message can't be written: {error}"))
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let failed = |error: lettre::transport::smtp::Error| format!("TLS can't be set up: {error}");
        let tls = match self.encryption {
            Encryption::None => Tls::None,
            Encryption::Implicit => Tls::Wrapper(self.trust().map_err(failed)?),
            Encryption::Starttls => Tls::Required(self.trust().map_err(failed)?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server)
            .port(self.port)
            .tls(tls)
            // The name of this machine is nobody's business.
            .hello_name(ClientId::Domain("localhost".to_owned()))
            // Of each address of the server.
            .timeout(Some(CONNECT_MAX));
        if let Some((user, password)) = &self.login {
            let password = String::from_utf8_lossy(password.bytes()).into_owned();
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        Ok(transport.build())
    }

    fn trust(&self) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let mut parameters = TlsParameters::builder(self.server.clone());
        if let Some(pem) = &self.ca {
            parameters = parameters
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(pem)?);
        }
        parameters.build()
    }
}

fn text(message: &Message) -> String {
    let mut text = vec![message.title(), String::new()];
    text.extend(
        message
            .lines()
            .iter()
            .map(|(name, line)| format!("{name}: {line}")),
    );
    if let Some(link) = &message.link {
        let says = "See what exactly, and answer:";
        text.extend([String::new(), says.to_owned(), link.clone()]);
    }
    text.join("\n") + "\n"
}

fn is_this_machine(server: &str) -> bool {
    let address = server.parse::<std::net::IpAddr>();
    server == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What went wrong, with what was behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(behind) = source {
        text.push_str(": ");
        text.push_str(&behind.to_string());
        source = behind.source();
    }
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}
