//! A client's message that came on no line of ours: a gateway carries it, and shows it.
//!
//! **Invariant**: it is read as lines are, and whatever goes to nobody there goes to nobody here.

use serde_json::value::RawValue;

use super::answers::{self, INVALID_PARAMS, INVALID_REQUEST, Instead, NOT_JSON, Shape, UNKNOWN_METHOD};
use super::call::Call;
use super::listing::Page;
use super::methods::{ClientMethod, Era, client_may_notify};
use super::wire::{Id, Members, Message, shown, text};
use crate::gate::{Denied, Held, Offer};

/// What is done with it.
#[derive(Debug)]
pub(in crate::surface) enum Posted {
    /// It goes on: it uses nothing of what the server has.
    Passes,
    /// It asks which tools there are.
    ListsTools(Reply),
    /// It is decided.
    Wants(Wanted),
}

/// What a client wants done.
#[derive(Debug)]
pub(in crate::surface) struct Wanted {
    /// As the catalog names it.
    pub(in crate::surface) tool: String,
    /// JSON, as it came.
    pub(in crate::surface) arguments: String,
    pub(in crate::surface) reply: Reply,
}

/// How its sender is answered.
#[derive(Debug)]
pub(in crate::surface) struct Reply {
    id: Id,
    shape: Shape,
    /// A list: where the task may not ask for it at all, it is empty, and this is its name in the result.
    list: Option<&'static str>,
}

/// A message that goes to nobody, and what is said of it.
#[derive(Debug)]
pub(in crate::surface) struct Unspoken {
    id: Option<Id>,
    code: i64,
    pub(in crate::surface) words: String,
}

/// What the headers of a request say of the message in it.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::surface) struct Headers<'a> {
    pub(in crate::surface) method: Option<&'a str>,
    pub(in crate::surface) name: Option<&'a str>,
}

impl Posted {
    /// Reads the body of a request to this server.
    pub(in crate::surface) fn read(
        server: &str,
        body: &[u8],
        headers: Headers<'_>,
    ) -> Result<Self, Unspoken> {
        let unread = |code, words: String| Unspoken {
            id: None,
            code,
            words,
        };
        let text = str::from_utf8(body).map_err(|_| unread(NOT_JSON, "the body is not UTF-8".to_owned()))?;
        let message = Message::parse(text).map_err(|error| unread(error.code(), error.to_string()))?;
        match message {
            Message::Request { id, method, params } => {
                let posted = headers
                    .check(&method, params)
                    .and_then(|()| Self::of(server, &method, params, &id));
                posted.map_err(|unspoken| Unspoken {
                    id: Some(id),
                    ..unspoken
                })
            }
            Message::Notification { method, params } => {
                headers.check(&method, params)?;
                if client_may_notify(&method) {
                    return Ok(Self::Passes);
                }
                let words = format!("the notification `{}` does not go through here", shown(&method));
                Err(unread(UNKNOWN_METHOD, words))
            }
            // What the server asked of its client.
            Message::Response { .. } => Ok(Self::Passes),
        }
    }

    /// A request of which a gateway shows method and parameters. Whoever answers it can answer with errors alone.
    pub(in crate::surface) fn shown(
        server: &str,
        method: &str,
        params: Option<&[u8]>,
        headers: Headers<'_>,
    ) -> Result<Self, Unspoken> {
        let unread = |words: String| Unspoken {
            id: None,
            code: NOT_JSON,
            words,
        };
        let params = params
            .map(|params| {
                let text = str::from_utf8(params).map_err(|_| unread("`params` is not UTF-8".to_owned()))?;
                serde_json::from_str::<&RawValue>(text).map_err(|error| unread(format!("`params`: {error}")))
            })
            .transpose()?;
        headers.check(method, params)?;
        if client_may_notify(method) {
            return Ok(Self::Passes);
        }
        let mut posted = Self::of(server, method, params, &Id::Number(0))?;
        if let Self::Wants(wanted) = &mut posted {
            wanted.reply.shape = Shape::Plain;
        }
        Ok(posted)
    }

    fn of(server: &str, method: &str, params: Option<&RawValue>, id: &Id) -> Result<Self, Unspoken> {
        let unspoken = |code, words: String| Unspoken {
            id: None,
            code,
            words,
        };
        let known = Era::Handshake.of_client(method).ok_or_else(|| {
            let words = format!("the method `{}` does not go through here", shown(method));
            unspoken(UNKNOWN_METHOD, words)
        })?;
        let plain = || Reply {
            id: id.clone(),
            shape: Shape::Plain,
            list: Some("tools"),
        };
        match known {
            ClientMethod::Passes => return Ok(Self::Passes),
            ClientMethod::ListsTools => return Ok(Self::ListsTools(plain())),
            ClientMethod::CallsTool | ClientMethod::Decided { .. } => {}
            // Of the other era.
            ClientMethod::Discovers | ClientMethod::AsksTask => {
                let words = format!("the method `{}` does not go through here", shown(method));
                return Err(unspoken(UNKNOWN_METHOD, words));
            }
        }
        let call = Call::read((server, Era::Handshake), method, known, params)
            .map_err(|instead| unspoken(INVALID_PARAMS, instead.into_words()))?;
        Ok(Self::Wants(Wanted {
            tool: call.tool,
            arguments: call.arguments,
            reply: Reply {
                id: id.clone(),
                shape: call.shape,
                list: call.list,
            },
        }))
    }
}

impl Headers<'_> {
    /// What they say must be what the message says: others decide by them.
    fn check(self, method: &str, params: Option<&RawValue>) -> Result<(), Unspoken> {
        let mismatch = |header: &str, given: &str| Unspoken {
            id: None,
            code: INVALID_REQUEST,
            words: format!(
                "the header `{header}` says `{}`, and the message says something else",
                shown(given)
            ),
        };
        if let Some(given) = self.method.filter(|given| *given != method) {
            return Err(mismatch("mcp-method", given));
        }
        let Some(given) = self.name else { return Ok(()) };
        let members = params.and_then(|params| Members::parse(params.get()).ok());
        let names = ["name", "uri"].into_iter().filter_map(|member| {
            let value = members.as_ref()?.get(member)?;
            text(value)
        });
        let names: Vec<String> = names.collect();
        if names == [given] {
            return Ok(());
        }
        Err(mismatch("mcp-name", given))
    }
}

impl Reply {
    /// The action may not happen.
    pub(in crate::surface) fn denied(&self, denied: &Denied) -> String {
        self.instead(&Instead::denied(denied, None))
    }

    /// It waits for people.
    pub(in crate::surface) fn pending(&self, held: &Held) -> String {
        self.instead(&Instead::pending(held))
    }

    /// It could not even be decided, or what it gives may not be passed on.
    pub(in crate::surface) fn refused(&self, words: &str) -> String {
        self.instead(&Instead::failed(answers::REFUSED, words))
    }

    /// There is nothing of this kind.
    pub(in crate::surface) fn nothing(&self) -> Option<String> {
        let list = self.list?;
        Some(answers::result(&self.id, &format!(r#"{{"{list}":[]}}"#)))
    }

    fn instead(&self, instead: &Instead) -> String {
        instead.answer(&self.id, self.shape)
    }
}

impl Unspoken {
    /// A message that can't even be looked at.
    pub(in crate::surface) fn unseen(words: impl Into<String>) -> Self {
        Self {
            id: None,
            code: INVALID_REQUEST,
            words: words.into(),
        }
    }

    /// Whether its sender waits for an answer.
    pub(in crate::surface) const fn is_request(&self) -> bool {
        self.id.is_some()
    }

    /// As the answer to it.
    pub(in crate::surface) fn answer(&self) -> String {
        answers::error(self.id.as_ref(), self.code, &self.words, None)
    }
}

/// The result of a list of tools, with those of them that a task may use, as their servers define them.
pub(in crate::surface) fn offered(
    servers: &[String],
    result: &str,
    offer: Option<&Offer>,
) -> Result<String, String> {
    let page = Page::parse(result).map_err(|error| error.to_string())?;
    Ok(page.only(result, |tool| {
        let accepted = |server: &String| offer?.definition(&format!("{server}/{}", tool.name));
        servers
            .iter()
            .filter_map(accepted)
            .any(|accepted| accepted == tool.sha256)
    }))
}

/// The members of an object in JSON, if it has one reading.
pub(in crate::surface) fn members(text: &str) -> Result<(), String> {
    Members::parse(text).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
