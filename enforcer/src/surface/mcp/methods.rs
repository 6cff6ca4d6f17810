//! What MCP's methods are to the enforcer, in both of its eras.
//!
//! **Invariant**: a method that does not stand here goes to nobody.

/// How the two sides know of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// By `initialize`, up to the revision 2025-11-25.
    Handshake,
    /// Not at all: each request says what it needs, from 2026-07-28 on.
    Stateless,
}

/// What is done with a request of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientMethod {
    /// It goes on as it is: it uses nothing of what the server has.
    Passes,
    /// What the server is and can, to which we say what we can beside it.
    Discovers,
    /// About a task that a call came to, ours or the server's.
    AsksTask,
    /// The list of tools, of which the client gets what its task may use.
    ListsTools,
    /// A call of a tool, which is decided.
    CallsTool,
    /// Decided as a tool of the method's name, with these members of `params` as its arguments.
    Decided {
        arguments: &'static [&'static str],
        /// A list: where the task may not ask for it at all, it is empty, and this is its name in the result.
        list: Option<&'static str>,
    },
}

/// These pass undecided beside the arguments, as an answer to a question of the server's own does.
pub(super) const ANSWERS: [&str; 2] = ["inputResponses", "requestState"];

impl Era {
    /// What a client asks for.
    pub(super) fn of_client(self, method: &str) -> Option<ClientMethod> {
        use ClientMethod::{AsksTask, CallsTool, Decided, Discovers, ListsTools, Passes};
        let decided = |arguments| Decided {
            arguments,
            list: None,
        };
        let list = |name| Decided {
            arguments: &["cursor"],
            list: Some(name),
        };
        Some(match (self, method) {
            (Self::Handshake, "initialize" | "ping" | "logging/setLevel") | (_, "completion/complete") => {
                Passes
            }
            (Self::Stateless, "server/discover") => Discovers,
            (Self::Stateless, "tasks/get" | "tasks/update" | "tasks/cancel") => AsksTask,
            (_, "tools/list") => ListsTools,
            (_, "tools/call") => CallsTool,
            (_, "resources/list") => list("resources"),
            (_, "resources/templates/list") => list("resourceTemplates"),
            (_, "prompts/list") => list("prompts"),
            (_, "resources/read") | (Self::Handshake, "resources/subscribe" | "resources/unsubscribe") => {
                decided(&["uri"])
            }
            (_, "prompts/get") => decided(&["name", "arguments"]),
            (Self::Stateless, "subscriptions/listen") => decided(&["notifications"]),
            _ => return None,
        })
    }

    /// Whether a request may bring what its server asked for with an answer before.
    pub(super) fn answers_within(self, method: &str) -> bool {
        self == Self::Stateless && matches!(method, "tools/call" | "prompts/get" | "resources/read")
    }

    /// Whether a server may ask this of the client.
    pub(super) fn server_may_ask(self, method: &str) -> bool {
        self == Self::Handshake
            && matches!(
                method,
                "ping" | "roots/list" | "sampling/createMessage" | "elicitation/create"
            )
    }

    /// Whether a notification of the server goes to the client.
    pub(super) fn server_may_notify(self, method: &str) -> bool {
        match method {
            "notifications/cancelled"
            | "notifications/progress"
            | "notifications/message"
            | "notifications/resources/updated"
            | "notifications/resources/list_changed"
            | "notifications/tools/list_changed"
            | "notifications/prompts/list_changed" => true,
            "notifications/elicitation/complete" => self == Self::Handshake,
            "notifications/subscriptions/acknowledged" => self == Self::Stateless,
            _ => false,
        }
    }
}

/// Whether a notification of the client goes to the server. That something is cancelled is looked at first.
pub(super) fn client_may_notify(method: &str) -> bool {
    matches!(
        method,
        "notifications/initialized"
            | "notifications/cancelled"
            | "notifications/progress"
            | "notifications/roots/list_changed"
    )
}
