//! What a client wants done, as its parameters say it.
//!
//! **Invariant**: whatever is not decided and not named by the method is refused: it would reach the server unseen.

use serde_json::value::RawValue;

use super::super::answers::{INVALID_PARAMS, Instead, Shape};
use super::super::forms::Takes;
use super::super::methods::{ANSWERS, ClientMethod, Era};
use super::super::wire::{Id, Members, shown, text};

/// What a client wants done.
#[derive(Debug, Clone)]
pub(in crate::surface::mcp) struct Call {
    /// As the catalog names it.
    pub(in crate::surface::mcp) tool: String,
    /// As the server names it, if it is a tool of the server's own: then it has a definition.
    pub(in crate::surface::mcp) own_name: Option<String>,
    /// JSON, as it came.
    pub(in crate::surface::mcp) arguments: String,
    pub(in crate::surface::mcp) shape: Shape,
    /// A list, and its name in the result.
    pub(in crate::surface::mcp) list: Option<&'static str>,
    /// By which the client wants to hear how it goes on; JSON, as it came.
    pub(in crate::surface::mcp) token: Option<String>,
    pub(in crate::surface::mcp) method: String,
    /// As they came.
    pub(in crate::surface::mcp) params: String,
    /// What it brings in answer to the server: members, as they came.
    pub(in crate::surface::mcp) brought: Vec<(String, String)>,
    /// In which forms its client can be told that it waits.
    pub(in crate::surface::mcp) takes: Takes,
}

impl Call {
    /// Reads the parameters. A member that is not decided and not named by the method is refused: it would reach the server unseen.
    pub(in crate::surface::mcp) fn read(
        (server, era): (&str, Era),
        method: &str,
        known: ClientMethod,
        params: Option<&RawValue>,
    ) -> Result<Self, Instead> {
        let invalid = |words: String| Instead::failed(INVALID_PARAMS, words);
        let raw = params.map_or("{}", RawValue::get);
        let members = Members::parse(raw).map_err(|error| invalid(format!("`params`: {error}")))?;
        let (named, list): (&[&str], _) = match known {
            ClientMethod::Decided { arguments, list } => (arguments, list),
            _ => (&["name", "arguments"], None),
        };
        let is_answer = |name: &str| era.answers_within(method) && ANSWERS.contains(&name);
        let is_unknown =
            |(name, _): &&(String, _)| !named.contains(&name.as_str()) && name != "_meta" && !is_answer(name);
        if let Some((name, _)) = members.0.iter().find(is_unknown) {
            let words = format!(
                "`params` of `{method}` has no member `{}` that goes through here",
                shown(name)
            );
            return Err(invalid(words));
        }
        let is_watched = |notifications: &RawValue| {
            let named = Members::parse(notifications.get()).ok();
            named.is_some_and(|named| named.get("taskIds").is_some())
        };
        if method == "subscriptions/listen" && members.get("notifications").is_some_and(is_watched) {
            let words =
                "nothing is told of tasks by itself here; leave `taskIds` out and ask with `tasks/get`";
            return Err(invalid(words.to_owned()));
        }
        let mut call = Self {
            tool: format!("{server}/{method}"),
            own_name: None,
            arguments: "{}".to_owned(),
            shape: Shape::Plain,
            list,
            token: members.get("_meta").and_then(progress_token),
            method: method.to_owned(),
            params: raw.to_owned(),
            brought: Vec::new(),
            takes: match era {
                Era::Handshake => Takes::default(),
                Era::Stateless => members.get("_meta").map(Takes::of).unwrap_or_default(),
            },
        };
        let answers = members.0.iter().filter(|(name, _)| is_answer(name));
        call.brought
            .extend(answers.map(|(name, value)| (name.clone(), value.get().to_owned())));
        if known == ClientMethod::CallsTool {
            let name = members.get("name").and_then(text);
            let name = name.ok_or_else(|| invalid("`params.name` must name a tool".to_owned()))?;
            call.tool = format!("{server}/{name}");
            call.own_name = Some(name);
            call.shape = Shape::Tool;
            if let Some(arguments) = members.get("arguments") {
                arguments.get().clone_into(&mut call.arguments);
            }
        } else {
            let member = |name: &&str| Some(format!("\"{name}\":{}", members.get(name)?.get()));
            let given: Vec<String> = named.iter().filter_map(member).collect();
            call.arguments = format!("{{{}}}", given.join(","));
        }
        Ok(call)
    }

    /// What makes it another call beside its arguments: what it brings in answer to the server.
    pub(in crate::surface::mcp) fn beside(&self) -> String {
        let brought = self
            .brought
            .iter()
            .flat_map(|(name, value)| ["\0", name, "\0", value]);
        brought.collect()
    }
}

fn progress_token(meta: &RawValue) -> Option<String> {
    let meta = Members::parse(meta.get()).ok()?;
    let token = meta.get("progressToken")?.get();
    Id::parse(token).map(|_| token.to_owned())
}
