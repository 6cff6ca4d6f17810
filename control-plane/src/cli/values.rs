//! Values as people write them on a command line.

use std::time::Duration;

use checkrein_shared::action::Arguments;
use checkrein_shared::grant::{Scope, parse_risk};
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::label::Label;
use checkrein_shared::ledger::{Meter, parse_pair};
use tonic::codegen::http::Uri;

pub(super) use crate::words::{When, millis, when};

/// How many rows a list shows when nobody says.
pub(super) const LIMIT_DEFAULT: u32 = 50;
/// How many rows are asked for at once.
pub(super) const PAGE_ROWS_MAX: u32 = 200;

/// A socket and the agent whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    /// Where it is made.
    pub path: String,
    /// Who speaks through it.
    pub agent: SpiffeId,
}

/// `30s`, `10m`, `2h`; not zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if millis(duration) > 0 => Ok(duration),
        Ok(_) => Err("must be longer than nothing".to_owned()),
        Err(error) => Err(format!(
            "{error}; expected a duration such as `30s`, `10m` or `2h`"
        )),
    }
}

/// An address of a control plane.
pub(super) fn https(text: &str) -> Result<String, String> {
    let is_whole =
        |uri: &Uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty());
    match text.parse::<Uri>() {
        Ok(uri) if is_whole(&uri) => Ok(text.to_owned()),
        _ => Err("expected `https://host:port`".to_owned()),
    }
}

/// `money=500`.
pub(super) fn budget(text: &str) -> Result<(Meter, u64), String> {
    parse_pair(text).map_err(|error| error.to_string())
}

/// `key=value`, both given.
pub(super) fn key_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok(text.to_owned()),
        _ => Err("expected `key=value`".to_owned()),
    }
}

/// `PATH=SPIFFE-ID`.
pub(super) fn socket(text: &str) -> Result<Socket, String> {
    match text.rsplit_once('=') {
        Some((path, agent)) if !path.is_empty() => Ok(Socket {
            path: path.to_owned(),
            agent: agent.parse().map_err(|error| format!("{error}"))?,
        }),
        _ => Err("expected `PATH=SPIFFE-ID`".to_owned()),
    }
}

/// `acme.example`: what stands after `spiffe://`.
pub(super) fn trust_domain(text: &str) -> Result<String, String> {
    match SpiffeId::of(text, Role::Agent, "any") {
        Ok(id) if id.trust_domain() == text => Ok(text.to_owned()),
        _ => Err(
            "expected lower-case letters, digits, dots, dashes and underscores, as in `acme.example`"
                .to_owned(),
        ),
    }
}

/// `<catalog>/<tool>` or `<catalog>/*`.
pub(super) fn tool(text: &str) -> Result<String, String> {
    Scope::parse([text.to_owned()]).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// `<catalog>/<tool>`, and no pattern.
pub(super) fn one_tool(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err("expected one tool, `<catalog>/<tool>`".to_owned());
    }
    tool(text)
}

/// `crm/search`, just now, or `crm/search=5m`, that long ago: the tool, and milliseconds.
pub(super) fn used(text: &str) -> Result<(String, u64), String> {
    let Some((tool, ago)) = text.split_once('=') else {
        return Ok((one_tool(text)?, 0));
    };
    Ok((one_tool(tool)?, millis(duration(ago)?)))
}

/// A JSON object, read as the arguments of a real call are.
pub(super) fn arguments(text: &str) -> Result<Arguments, String> {
    Arguments::parse(text.as_bytes()).map_err(|error| error.to_string())
}

/// The text of a scope file that can be understood.
pub(super) fn scope(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("can't read it: {error}"))?;
    Scope::parse_json(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(text)
}

/// `pii`: one kind of data.
pub(super) fn label(text: &str) -> Result<String, String> {
    let label: Label = text.parse().map_err(|error| format!("{error}"))?;
    Ok(label.to_string())
}

/// `high`, or a number.
pub(super) fn risk(text: &str) -> Result<u8, String> {
    parse_risk(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
