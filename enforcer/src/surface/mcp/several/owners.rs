//! Whose a resource is: the server's that lists it, or one of whose templates it fits.
//!
//! **Invariant**: a resource that two servers offer is given to neither. What servers list is asked for to find out whose something is, and
//! shown to nobody: what may be read is decided when it is read.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::super::listing::PAGES_MAX;
use super::super::methods::Era;
use super::super::stateless;
use super::super::wire::{Members, Message, shown, text};
use super::{Part, named};

/// What a server lists is believed for so long, and asked for again after less if something is not in it.
const KNOWN_MAX: Duration = Duration::from_secs(30);
const MISSED_MAX: Duration = Duration::from_secs(2);
/// So many resources of one server are known.
const RESOURCES_MAX: usize = 65_536;

/// What is known of one server's resources.
#[derive(Debug, Default)]
pub(super) struct Owned {
    known: Mutex<Option<Known>>,
    /// Held by whoever asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    uris: HashSet<String>,
    templates: Vec<String>,
    since: Instant,
}

/// How sure it is that a resource is a server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    None,
    Fits,
    Lists,
}

impl Owned {
    /// It has changed.
    pub(super) fn forget(&self) {
        *self.known() = None;
    }

    fn claim(&self, uri: &str, within: Duration) -> Option<Claim> {
        let known = self.known();
        let known = known.as_ref().filter(|known| known.since.elapsed() <= within)?;
        let is_same = |template: &String| template == uri;
        Some(
            if known.uris.contains(uri) || known.templates.iter().any(is_same) {
                Claim::Lists
            } else if known.templates.iter().any(|template| fits(template, uri)) {
                Claim::Fits
            } else {
                Claim::None
            },
        )
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        // Nothing in here panics halfway.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    async fn claims(&self, uri: &str, era: Era) -> Claim {
        match self.owned.claim(uri, KNOWN_MAX) {
            None | Some(Claim::None) => {}
            Some(claim) => return claim,
        }
        let _asking = self.owned.asking.lock().await;
        if let Some(claim) = self.owned.claim(uri, MISSED_MAX) {
            return claim;
        }
        let uris = self.listed(era, ("resources/list", "resources", "uri")).await;
        let templates = self
            .listed(
                era,
                ("resources/templates/list", "resourceTemplates", "uriTemplate"),
            )
            .await;
        *self.owned.known() = Some(Known {
            uris: uris.into_iter().collect(),
            templates,
            since: Instant::now(),
        });
        self.owned.claim(uri, KNOWN_MAX).unwrap_or(Claim::None)
    }

    /// One member of all that the server lists. A server that has no such list has none of it.
    async fn listed(&self, era: Era, (method, list, member): (&str, &str, &str)) -> Vec<String> {
        let mut found = Vec::new();
        let mut params = stateless::listing(era, None);
        for _ in 0..PAGES_MAX {
            let Some(said) = self.session.ask_server(method, &params).await else {
                break;
            };
            let Some((_, result)) = Message::result(&said) else {
                break;
            };
            let Ok(result) = Members::parse(result.get()) else {
                break;
            };
            let items: Vec<&RawValue> = result
                .get(list)
                .and_then(|items| serde_json::from_str(items.get()).ok())
                .unwrap_or_default();
            let items = items.into_iter().filter_map(|item| {
                let item = Members::parse(item.get()).ok()?;
                item.get(member).and_then(text)
            });
            found.extend(items.take(RESOURCES_MAX.saturating_sub(found.len())));
            match result.get("nextCursor").filter(|next| next.get() != "null") {
                Some(next) => params = stateless::listing(era, Some(next.get())),
                None => break,
            }
        }
        found
    }
}

/// Whom a request is about, and its parameters as that server reads them.
pub(super) async fn find<'a>(
    parts: &'a [Part],
    era: Era,
    method: &str,
    params: Option<&RawValue>,
) -> Result<(&'a Part, String), String> {
    let raw = params.map_or("{}", RawValue::get);
    let members = Members::parse(raw).map_err(|error| format!("`params`: {error}"))?;
    if method != "completion/complete" {
        let uri = members.get("uri").and_then(text).unwrap_or_default();
        return Ok((owner(parts, era, &uri).await?, raw.to_owned()));
    }
    let about = members.get("ref").map_or("{}", |about| about.get());
    let about = Members::parse(about).map_err(|error| format!("`params.ref`: {error}"))?;
    if let Some(uri) = about.get("uri").and_then(text) {
        return Ok((owner(parts, era, &uri).await?, raw.to_owned()));
    }
    let name = about.get("name").and_then(text).unwrap_or_default();
    let (part, own) =
        named::split(parts, &name).ok_or_else(|| format!("no server here has `{}`", shown(&name)))?;
    let about = about.with("name", &Value::from(own).to_string());
    Ok((part, members.with("ref", &about)))
}

/// Whose a resource is.
pub(super) async fn owner<'a>(parts: &'a [Part], era: Era, uri: &str) -> Result<&'a Part, String> {
    let mut best: (Claim, Vec<&Part>) = (Claim::None, Vec::new());
    for part in parts.iter().filter(|part| !part.is_away()) {
        if !part.understands(era).await {
            continue;
        }
        let claim = part.claims(uri, era).await;
        if claim > best.0 {
            best = (claim, Vec::new());
        }
        if claim == best.0 && claim > Claim::None {
            best.1.push(part);
        }
    }
    match best.1.as_slice() {
        [one] => Ok(one),
        [] => Err(format!("no server here offers `{}`", shown(uri))),
        several => {
            let names: Vec<&str> = several.iter().map(|part| part.name.as_str()).collect();
            let (uri, names) = (shown(uri), names.join(" and "));
            Err(format!(
                "`{uri}` is offered by {names}, and nobody can tell which is meant"
            ))
        }
    }
}

/// Whether a URI may come of a template: what stands between its expressions stands in it, in order.
fn fits(template: &str, uri: &str) -> bool {
    let mut pieces = template.split('{');
    let Some(mut rest) = uri.strip_prefix(pieces.next().unwrap_or_default()) else {
        return false;
    };
    let pieces: Vec<&str> = pieces
        .map(|piece| piece.split_once('}').map_or(piece, |(_, after)| after))
        .collect();
    let Some((last, between)) = pieces.split_last() else {
        return rest.is_empty();
    };
    for piece in between {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
