//! What a client wants to be told of: one subscription of its own, which is one at every server that serves a part of it.
//!
//! **Invariant**: what a server is to tell of is decided by the session that stands before it. A client is told of nothing that it did not
//! ask for, of nothing before it is told what it is told of, and of all of it under the id of its own request.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::super::answers::{self, INTERNAL, INVALID_PARAMS};
use super::super::methods::Era;
use super::super::session::Brought;
use super::super::wire::{Answered, Id, Line, Members, Message};
use super::{Asked, Several, owners};

pub(super) const LISTEN: &str = "subscriptions/listen";
/// Where a notification says which subscription it belongs to.
pub(super) const SAYS_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// A client has so many subscriptions at once.
const SUBSCRIPTIONS_MAX: usize = 16;
/// One is about so many resources.
const RESOURCES_MAX: usize = 256;
/// So much waits to be told.
const EVENTS_MAX: usize = 64;
/// When one server has begun to tell, the others have so long to say what they tell of.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// All subscriptions of a client, by the ids of its requests, and where what is heard for each goes.
pub(super) type Subscriptions = HashMap<Id, mpsc::Sender<Heard>>;

/// What a subscription hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// A server says what it will tell of.
    Acknowledged { by: usize, honored: Map<String, Value> },
    /// Something has changed.
    Changed { method: String, params: String },
}

/// What is told of changes, and which of them somebody asks to be told of.
pub(super) fn asked_by(method: &str) -> Option<&'static str> {
    Some(match method {
        "notifications/tools/list_changed" => "toolsListChanged",
        "notifications/prompts/list_changed" => "promptsListChanged",
        "notifications/resources/list_changed" => "resourcesListChanged",
        "notifications/resources/updated" => "resourceSubscriptions",
        _ => return None,
    })
}

/// What one server is asked for.
struct Share {
    at: usize,
    params: String,
}

/// Why a server tells nothing more.
enum Ended {
    /// It has ended, and may come back.
    Away,
    /// It has answered, or takes it back.
    Said(Option<String>),
}

/// A subscription, as far as it has come.
struct Subscription<'a> {
    several: &'a Several,
    id: &'a Id,
    /// What the client asks to be told of.
    wanted: Map<String, Value>,
    honored: Map<String, Value>,
    /// Servers that have not said what they tell of.
    open: HashSet<usize>,
    /// Until when they may.
    until: Option<Instant>,
    /// What is told once the client knows what it is told of; none: it knows.
    early: Option<Vec<(String, String)>>,
    has_ended_well: bool,
    error: Option<String>,
}

impl Several {
    /// Has servers tell of changes, until they tell nothing more or the client wants nothing more.
    pub(super) async fn subscribe(self: &Arc<Self>, asked: Asked<'_>) {
        let id = asked.id.clone();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let has_room = {
            let mut state = self.state();
            let has_room = state.subscriptions.len() < SUBSCRIPTIONS_MAX;
            if has_room {
                state.subscriptions.insert(id.clone(), sender);
            }
            has_room
        };
        if !has_room {
            let words =
                format!("{SUBSCRIPTIONS_MAX} subscriptions are open; cancel one, or ask for more in one");
            return self.client.refuse(Some(&id), INTERNAL, &words).await;
        }
        let Some(cancelled) = self.begin(&id).await else {
            self.state().subscriptions.remove(&id);
            return;
        };
        let (several, era, brought) = (Arc::clone(self), asked.era, asked.brought);
        let params = asked
            .params
            .map_or_else(|| "{}".to_owned(), |params| params.get().to_owned());
        self.tasks.spawn(async move {
            let told = several.subscribed((&id, era), &params, &brought, events);
            let told = async {
                tokio::select! {
                    told = told => Some(told),
                    () = cancelled.cancelled() => None,
                    () = several.leaving.cancelled() => None,
                }
            };
            let told = told.await;
            several.state().subscriptions.remove(&id);
            several.give_up_parts_of(&id).await;
            several.state().gathering.remove(&id);
            if let Some(told) = told {
                several.client.answer(&id, told).await;
            }
        });
    }

    async fn subscribed(
        &self,
        (id, era): (&Id, Era),
        params: &str,
        brought: &Brought,
        mut events: mpsc::Receiver<Heard>,
    ) -> String {
        let (wanted, shares) = match self.shares(era, params).await {
            Ok(shares) => shares,
            Err(words) => return answers::error(Some(id), INVALID_PARAMS, &words, None),
        };
        let mut subscription = Subscription::new(self, id, wanted);
        let mut serving = FuturesUnordered::new();
        for share in shares {
            if !self.parts[share.at].is_away() {
                subscription.open.insert(share.at);
            }
            serving.push(self.serves((id, era), share, brought));
        }
        if subscription.open.is_empty() {
            subscription.acknowledge().await;
        }
        loop {
            let until = subscription.until;
            tokio::select! {
                biased;
                Some(heard) = events.recv() => subscription.hears(heard).await,
                ended = serving.next() => match ended {
                    None => return subscription.answer(),
                    Some((share, Ended::Away)) => {
                        subscription.loses(share.at, None).await;
                        serving.push(self.serves((id, era), share, brought));
                    }
                    Some((share, Ended::Said(said))) => subscription.loses(share.at, said.as_deref()).await,
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    subscription.acknowledge().await;
                }
            }
        }
    }

    /// Has one server tell of its share, once it is there, until it tells nothing more.
    async fn serves(&self, (id, era): (&Id, Era), share: Share, brought: &Brought) -> (Share, Ended) {
        let part = &self.parts[share.at];
        part.comes_back().await;
        if !part.understands(era).await {
            return (share, Ended::Said(None));
        }
        let (own, said) = self.question(part, id);
        let line = Line::Text(answers::request(&own, LISTEN, &share.params));
        part.session.client_said(line, brought.clone()).await;
        let ended = tokio::select! {
            biased;
            () = part.goes() => Ended::Away,
            said = said => Ended::Said(said.ok()),
        };
        self.state().asked.remove(&own);
        (share, ended)
    }

    /// What a client asks to be told of; and which server is asked for which part of it.
    async fn shares(&self, era: Era, params: &str) -> Result<(Map<String, Value>, Vec<Share>), String> {
        const FILTER: &str = "notifications";
        const URIS: &str = "resourceSubscriptions";
        let params = Members::parse(params).map_err(|error| format!("`params`: {error}"))?;
        let filter = params.get(FILTER).map_or("{}", |filter| filter.get());
        let wanted = serde_json::from_str(filter).unwrap_or_default();
        let filter = Members::parse(filter).map_err(|error| format!("`params.{FILTER}`: {error}"))?;
        let uris: Vec<String> = match filter.get(URIS) {
            Some(uris) => serde_json::from_str(uris.get())
                .map_err(|_| format!("`params.{FILTER}.{URIS}` must be a list of URIs"))?,
            None => Vec::new(),
        };
        if uris.len() > RESOURCES_MAX {
            return Err(format!(
                "a subscription is about at most {RESOURCES_MAX} resources"
            ));
        }
        let mut of_whom: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut nobodys = None;
        for uri in &uris {
            match owners::owner(&self.parts, era, uri).await {
                Ok(part) => of_whom.entry(part.name.as_str()).or_default().push(uri),
                Err(words) => {
                    info!(words, "nobody tells of a resource");
                    nobodys = nobodys.or(Some(words));
                }
            }
        }
        let is_more = |(name, value): &(String, &RawValue)| name != URIS && value.get() != "false";
        let is_for_all = uris.is_empty() || filter.0.iter().any(is_more);
        let mut shares = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let own = of_whom.get(part.name.as_str());
            if (own.is_none() && !is_for_all) || !(part.is_away() || part.understands(era).await) {
                continue;
            }
            let filter = match own {
                Some(own) => filter.with(URIS, &json!(own).to_string()),
                None => filter.without(&[URIS], &[]),
            };
            let params = match params.get(FILTER) {
                Some(_) => params.with(FILTER, &filter),
                None => params.without(&[], &[]),
            };
            shares.push(Share { at, params });
        }
        if shares.is_empty() {
            return Err(nobodys.unwrap_or_else(|| "no server here answers".to_owned()));
        }
        Ok((wanted, shares))
    }

    /// Tells whoever asked for it that the lists have changed.
    pub(super) async fn tell_subscribers(&self, method: &str) {
        let all: Vec<mpsc::Sender<Heard>> = self.state().subscriptions.values().cloned().collect();
        for subscription in all {
            let changed = Heard::Changed {
                method: method.to_owned(),
                params: "{}".to_owned(),
            };
            // It may have ended.
            drop(subscription.send(changed).await);
        }
    }
}

impl<'a> Subscription<'a> {
    fn new(several: &'a Several, id: &'a Id, wanted: Map<String, Value>) -> Self {
        Self {
            several,
            id,
            wanted,
            honored: Map::new(),
            open: HashSet::new(),
            until: None,
            early: Some(Vec::new()),
            has_ended_well: false,
            error: None,
        }
    }

    async fn hears(&mut self, heard: Heard) {
        match heard {
            Heard::Acknowledged { by, honored } => {
                if !self.open.remove(&by) || self.early.is_none() {
                    return;
                }
                for (name, value) in honored {
                    match (self.honored.get_mut(&name), value) {
                        (Some(Value::Array(own)), Value::Array(more)) => own.extend(more),
                        (Some(Value::Bool(own)), Value::Bool(more)) => *own |= more,
                        (Some(_), _) => {}
                        (None, value) => drop(self.honored.insert(name, value)),
                    }
                }
                self.until
                    .get_or_insert_with(|| Instant::now() + ACKNOWLEDGED_MAX);
                self.acknowledge_if_all().await;
            }
            Heard::Changed { method, params } => {
                let is_wanted = asked_by(&method).and_then(|name| self.wanted.get(name));
                if !is_wanted.is_some_and(|wanted| *wanted == true || wanted.is_array()) {
                    return;
                }
                match &mut self.early {
                    Some(early) if early.len() < EVENTS_MAX => early.push((method, params)),
                    Some(_) => info!(method, "too much has changed before a client is told of changes"),
                    None => self.tell(&method, &params).await,
                }
            }
        }
    }

    /// A server tells nothing more.
    async fn loses(&mut self, at: usize, said: Option<&str>) {
        self.open.remove(&at);
        match said.map(Message::parse) {
            Some(Ok(Message::Response {
                answer: Answered::Error(error),
                ..
            })) => drop(self.error.get_or_insert_with(|| error.get().to_owned())),
            Some(_) => self.has_ended_well = true,
            None => {}
        }
        self.acknowledge_if_all().await;
    }

    async fn acknowledge_if_all(&mut self) {
        if self.open.is_empty() && self.until.is_some() {
            self.acknowledge().await;
        }
    }

    /// Tells the client what it is told of, and what has changed meanwhile.
    async fn acknowledge(&mut self) {
        self.until = None;
        let Some(early) = self.early.take() else { return };
        let honored = json!({ "notifications": self.honored });
        self.tell("notifications/subscriptions/acknowledged", &honored.to_string())
            .await;
        for (method, params) in early {
            self.tell(&method, &params).await;
        }
    }

    async fn tell(&self, method: &str, params: &str) {
        let Ok(params) = Members::parse(params) else {
            return;
        };
        let meta = params.get("_meta").map_or("{}", |meta| meta.get());
        let Ok(meta) = Members::parse(meta) else { return };
        let meta = meta.with(SAYS_SUBSCRIPTION, &self.id.to_string());
        let line = answers::notification(method, &params.with("_meta", &meta));
        self.several.client.tell(Some(self.id), line).await;
    }

    /// What the client's request comes to in the end.
    fn answer(self) -> String {
        let is_known = self.early.is_none();
        match self.error {
            Some(error) if !self.has_ended_well => answers::error_of(self.id, &error),
            None if !self.has_ended_well && !is_known => {
                answers::error(Some(self.id), INTERNAL, "no server here answers", None)
            }
            _ => {
                let id = self.id;
                let result = format!(r#"{{"resultType":"complete","_meta":{{"{SAYS_SUBSCRIPTION}":{id}}}}}"#);
                answers::result(id, &result)
            }
        }
    }
}
