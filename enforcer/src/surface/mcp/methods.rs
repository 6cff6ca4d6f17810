//! What MCP's methods are to the enforcer, up to the revision 2025-11-25.
//!
//! **Invariant**: a method that does not stand here goes to nobody.

/// What is done with a request of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientMethod {
    /// It goes on as it is: it uses nothing of what the server has.
    Passes,
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

/// What a client asks for.
pub(super) fn of_client(method: &str) -> Option<ClientMethod> {
    use ClientMethod::{CallsTool, Decided, ListsTools, Passes};
    let list = |name| Decided {
        arguments: &["cursor"],
        list: Some(name),
    };
    let of_uri = Decided {
        arguments: &["uri"],
        list: None,
    };
    Some(match method {
        "initialize" | "ping" | "logging/setLevel" | "completion/complete" => Passes,
        "tools/list" => ListsTools,
        "tools/call" => CallsTool,
        "resources/list" => list("resources"),
        "resources/templates/list" => list("resourceTemplates"),
        "prompts/list" => list("prompts"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => of_uri,
        "prompts/get" => Decided {
            arguments: &["name", "arguments"],
            list: None,
        },
        _ => return None,
    })
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

/// Whether a server may ask this of the client.
pub(super) fn server_may_ask(method: &str) -> bool {
    matches!(
        method,
        "ping" | "roots/list" | "sampling/createMessage" | "elicitation/create"
    )
}

/// Whether a notification of the server goes to the client.
pub(super) fn server_may_notify(method: &str) -> bool {
    matches!(
        method,
        "notifications/cancelled"
            | "notifications/progress"
            | "notifications/message"
            | "notifications/resources/updated"
            | "notifications/resources/list_changed"
            | "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/elicitation/complete"
    )
}
