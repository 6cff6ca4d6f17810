//! A URL of some schemes, hosts, ports and paths, with which nobody is sent where the scope does not say.
//!
//! The text is taken apart twice: by the crate `url`, as browsers and HTTP libraries do (WHATWG), and by the few characters
//! that RFC 3986 needs. Unless both see the same host, as it is written, the URL is refused: so there is no number in
//! place of an address, no zone, no other script, no `\` and no user before an `@`. An address is admitted only where it is
//! listed itself, whichever range it is in.
//!
//! Where a name resolves to can't be said of a text: whoever fetches must refuse addresses inside the network, and must
//! judge each redirect as a URL of its own. Query and fragment are not constrained.
//!
//! **Invariant**: the host of an admitted URL is one that is listed, for every consumer.

use serde_json::{Value, json};
use url::{Host, Url};

use super::email::is_host;
use super::member::{Budget, Members, wrong};
use super::{InvalidConstraint, Refused, met, path};
use crate::action::Json;

/// The schemes with an authority that every consumer reads alike.
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// Where a URL may lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    schemes: Vec<String>,
    /// Names, addresses, and `*.<name>` for what is under a name.
    hosts: Vec<String>,
    /// None: the scheme's own.
    ports: Option<Vec<u16>>,
    /// A path, or what is under one that ends in `/`. None: any.
    paths: Option<Vec<String>>,
}

impl Origin {
    pub(super) fn read(members: &mut Members<'_>, budget: &mut Budget) -> Result<Self, InvalidConstraint> {
        let schemes = budget.texts("schemes", members.take("schemes")?)?;
        if !schemes.iter().all(|scheme| SCHEMES.contains(&scheme.as_str())) {
            return Err(wrong("schemes", "each must be `http`, `https`, `ws` or `wss`"));
        }
        let hosts = budget.texts("hosts", members.take("hosts")?)?;
        if !hosts.iter().all(|host| is_listable(host)) {
            let why =
                "each must be a host in lower case, `*.` and one, or an address written in the usual way";
            return Err(wrong("hosts", why));
        }
        let ports = members.optional("ports").map(|ports| read_ports(ports, budget));
        let paths = members
            .optional("paths")
            .map(|paths| budget.texts("paths", paths));
        let paths = paths.transpose()?;
        if let Some(Err(Refused(why))) = paths
            .iter()
            .flatten()
            .map(|it| path::check(it))
            .find(Result::is_err)
        {
            return Err(wrong("paths", why));
        }
        Ok(Self {
            schemes,
            hosts,
            ports: ports.transpose()?,
            paths,
        })
    }

    pub(super) fn write(&self) -> Value {
        let mut origin = json!({"constraint_type": "url", "schemes": self.schemes, "hosts": self.hosts});
        if let Some(ports) = &self.ports {
            origin["ports"] = json!(ports);
        }
        if let Some(paths) = &self.paths {
            origin["paths"] = json!(paths);
        }
        origin
    }

    pub(super) fn admits(&self, text: &str) -> Result<(), Refused> {
        let ambiguous = "not every consumer would read this as the same URL";
        met(
            text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'),
            ambiguous,
        )?;
        let (scheme, rest) = text.split_once("://").ok_or(Refused(ambiguous))?;
        let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let url = Url::parse(text).map_err(|_| Refused(ambiguous))?;
        let host = url.host_str().ok_or(Refused(ambiguous))?;
        // A name of letters, digits and dashes only: `*` is none.
        met(
            !matches!(url.host(), Some(Host::Domain(name)) if !is_host(name)),
            ambiguous,
        )?;
        // The port as it is written, or as it goes without saying.
        let port = url.port_or_known_default().ok_or(Refused(ambiguous))?;
        let written = authority.to_ascii_lowercase();
        let is_whole = written == host || written == format!("{host}:{port}");
        met(is_whole && url.scheme() == scheme.to_ascii_lowercase(), ambiguous)?;
        met(
            self.schemes.iter().any(|it| it == url.scheme()),
            "the URL's scheme is not allowed",
        )?;
        let is_host = self.hosts.iter().any(|listed| covers(listed, host));
        met(is_host, "the URL's host is not allowed")?;
        met(self.has_port(url.scheme(), port), "the URL's port is not allowed")?;
        let path = after.split(['?', '#']).next().unwrap_or_default();
        self.has_path(if path.is_empty() { "/" } else { path })
    }

    pub(super) fn narrows(&self, parent: &Self) -> bool {
        let schemes = self.schemes.iter().all(|it| parent.schemes.contains(it));
        let hosts = self
            .hosts
            .iter()
            .all(|it| parent.hosts.iter().any(|listed| covers(listed, it)));
        let ports = match (&self.ports, &parent.ports) {
            (None, None) => true,
            (Some(ports), _) => {
                let is_in = |port: &u16| self.schemes.iter().all(|scheme| parent.has_port(scheme, *port));
                ports.iter().all(is_in)
            }
            (None, Some(_)) => self
                .schemes
                .iter()
                .all(|scheme| parent.has_port(scheme, default_port(scheme))),
        };
        let paths = match (&self.paths, &parent.paths) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(paths), Some(parents)) => paths
                .iter()
                .all(|it| parents.iter().any(|listed| is_under(listed, it))),
        };
        schemes && hosts && ports && paths
    }

    fn has_port(&self, scheme: &str, port: u16) -> bool {
        let is_listed = self.ports.as_ref().map(|ports| ports.contains(&port));
        is_listed.unwrap_or(port == default_port(scheme))
    }

    fn has_path(&self, path: &str) -> Result<(), Refused> {
        let Some(paths) = &self.paths else {
            return Ok(());
        };
        path::check(path)?;
        met(
            paths.iter().any(|listed| is_under(listed, path)),
            "the URL's path is not allowed",
        )
    }
}

fn read_ports(ports: &Json, budget: &mut Budget) -> Result<Vec<u16>, InvalidConstraint> {
    let port = |port: &Json| match port {
        Json::Number(number) => number
            .to_long()
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0),
        _ => None,
    };
    let ports = budget.list("ports", ports)?.iter().map(port);
    let ports = ports.collect::<Option<_>>();
    ports.ok_or_else(|| wrong("ports", "each must be a number from 1 to 65535"))
}

/// Whether this may stand in a list of hosts: as `url` itself writes it.
fn is_listable(host: &str) -> bool {
    match host.strip_prefix("*.") {
        Some(name) => is_host(name),
        None => match Host::parse(host) {
            Ok(Host::Domain(name)) => name == host && is_host(host),
            Ok(address) => address.to_string() == host,
            Err(_) => false,
        },
    }
}

/// Whether what is listed covers a host, or another entry of a list.
fn covers(listed: &str, host: &str) -> bool {
    // What is under a name: at least one label, a dot, and the name; an address is under none.
    let under = listed
        .strip_prefix('*')
        .and_then(|suffix| host.strip_suffix(suffix));
    listed == host || under.is_some_and(|label| !label.is_empty())
}

/// Whether a path, or another entry of a list, is this path or under it.
fn is_under(listed: &str, path: &str) -> bool {
    listed == path || listed.ends_with('/') && path.starts_with(listed)
}

fn default_port(scheme: &str) -> u16 {
    if ["http", "ws"].contains(&scheme) { 80 } else { 443 }
}
