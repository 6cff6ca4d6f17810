//! The console: pages for people who answer holds, push policy, or look at what was decided.
//!
//! ```text
//! browser --> serve --> guard --> page --> door --> the same services, by the same table, as any other client
//!                                   \--> template
//! comes from: the feed of holds, as server-sent events: something changed, ask again
//! ```
//!
//! **Invariant**: the console decides nothing and reads no table but that of its sessions. What a person may see and do is
//! what the RPC behind the page lets them see and do.

mod answer;
mod approvals;
mod assets;
mod chart;
mod coded;
mod cookie;
mod decisions;
mod door;
mod fleet;
mod glass;
mod guard;
mod hold;
mod inbox;
mod live;
mod numbers;
mod page;
mod parts;
mod policies;
mod remark;
mod serve;
mod sign_in;
mod tasks;
mod tls;
mod together;
mod visit;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use checkrein_shared::SharedClock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::hold::HoldNews;
use crate::session::Sessions;
use live::OpenPages;
use sign_in::Limit;

pub(crate) use sign_in::Site;

pub use tls::ConsoleTlsError;

pub(crate) use door::Door;
pub(crate) use serve::{Offer, serve};
pub(crate) use tls::{of_files, of_own};

/// What every page has at hand.
#[derive(Clone)]
pub(crate) struct Console {
    door: Door,
    sessions: Sessions,
    clock: SharedClock,
    holds: watch::Receiver<Arc<HoldNews>>,
    open_pages: OpenPages,
    limit: Limit,
    site: Site,
    stop: CancellationToken,
}

/// A page or an action, and the RPC that says who may.
pub struct Route {
    /// `GET` or `POST`.
    pub method: Method,
    /// As the router reads it.
    pub path: &'static str,
    /// Whose row of the table of callers this needs. None: whoever is signed in, or nobody.
    pub rpc: Option<&'static str>,
    handler: MethodRouter<Console>,
}

/// Every page and action there is: the router is made of this list, so nothing can be served that is not in it.
pub fn routes() -> Vec<Route> {
    const LIST: &str = "/checkrein.hold.v1.HoldService/List";
    const SHOW: &str = "/checkrein.hold.v1.HoldService/Show";
    const VOTE: &str = "/checkrein.hold.v1.HoldService/Vote";
    const VOTE_ALL: &str = "/checkrein.hold.v1.HoldService/VoteAll";
    const BREAK_GLASS: &str = "/checkrein.hold.v1.HoldService/BreakGlass";
    const REMARK: &str = "/checkrein.hold.v1.HoldService/Remark";
    const REVIEW: &str = "/checkrein.hold.v1.HoldService/Review";
    const LIST_STANDING: &str = "/checkrein.hold.v1.HoldService/ListStanding";
    const REVOKE_STANDING: &str = "/checkrein.hold.v1.HoldService/RevokeStanding";
    const NUMBERS: &str = "/checkrein.hold.v1.HoldService/Numbers";
    const SEARCH: &str = "/checkrein.decision.v1.DecisionService/Search";
    const SHOW_DECISION: &str = "/checkrein.decision.v1.DecisionService/Show";
    const LIST_TASKS: &str = "/checkrein.task.v1.TaskService/List";
    const SHOW_TASK: &str = "/checkrein.task.v1.TaskService/Show";
    const LIST_POLICIES: &str = "/checkrein.policy.v1.PolicyService/List";
    const USAGE: &str = "/checkrein.policy.v1.PolicyService/Usage";
    const DIFF: &str = "/checkrein.policy.v1.PolicyService/Diff";
    const LIST_FLEET: &str = "/checkrein.fleet.v1.FleetService/List";
    const SHOW_FLEET: &str = "/checkrein.fleet.v1.FleetService/Show";
    vec![
        Route::get("/", Some(LIST), inbox::page),
        Route::get("/inbox/waiting", Some(LIST), inbox::waiting),
        Route::get("/events", Some(LIST), live::events),
        Route::get("/holds/{id}", Some(SHOW), hold::page),
        Route::get("/holds/{id}/state", Some(SHOW), hold::state),
        Route::post("/holds/{id}/approve", Some(VOTE), answer::approve),
        Route::post("/holds/{id}/deny", Some(VOTE), answer::deny),
        Route::post("/holds/{id}/ask", Some(REMARK), remark::ask),
        Route::post("/holds/{id}/reply", Some(REMARK), remark::reply),
        Route::post("/holds/{id}/hand-on", Some(REMARK), remark::hand_on),
        Route::post("/holds/{id}/break-glass", Some(BREAK_GLASS), glass::break_it),
        Route::post("/holds/{id}/review", Some(REVIEW), glass::review),
        Route::get("/together/{id}", Some(LIST), together::page),
        Route::post("/together/{id}", Some(VOTE_ALL), together::answer),
        Route::get("/approvals", Some(LIST_STANDING), approvals::page),
        Route::post("/approvals/{id}/revoke", Some(REVOKE_STANDING), approvals::revoke),
        Route::get("/sign-in", None, sign_in::page),
        Route::post("/sign-in/link", None, sign_in::by_link),
        Route::get("/sign-in/oidc", None, sign_in::start),
        Route::get(sign_in::CALLBACK, None, sign_in::callback),
        Route::post("/sign-out", None, sign_in::out),
        Route::get("/decisions", Some(SEARCH), decisions::page),
        Route::get("/decisions/{id}", Some(SHOW_DECISION), decisions::decision),
        Route::get("/tasks", Some(LIST_TASKS), tasks::page),
        Route::get("/tasks/{id}", Some(SHOW_TASK), tasks::task),
        Route::get("/policies", Some(LIST_POLICIES), policies::page),
        Route::get("/policies/{id}", Some(USAGE), policies::pack),
        Route::get("/policies/{id}/diff", Some(DIFF), policies::diff),
        Route::get("/fleet", Some(LIST_FLEET), fleet::page),
        Route::get("/fleet/{id}", Some(SHOW_FLEET), fleet::enforcer),
        Route::get("/numbers", Some(NUMBERS), numbers::page),
        Route::get("/assets/{name}", None, assets::asset),
    ]
}

impl Route {
    fn get<H, T>(path: &'static str, rpc: Option<&'static str>, handler: H) -> Self
    where
        H: Handler<T, Console>,
        T: 'static,
    {
        let handler = on(MethodFilter::GET, handler);
        Self {
            method: Method::GET,
            path,
            rpc,
            handler,
        }
    }

    fn post<H, T>(path: &'static str, rpc: Option<&'static str>, handler: H) -> Self
    where
        H: Handler<T, Console>,
        T: 'static,
    {
        let handler = on(MethodFilter::POST, handler);
        Self {
            method: Method::POST,
            path,
            rpc,
            handler,
        }
    }
}

impl Console {
    /// The pages, before the services behind `door`.
    pub(crate) fn new(
        door: Door,
        sessions: Sessions,
        clock: SharedClock,
        holds: watch::Receiver<Arc<HoldNews>>,
        site: Site,
        stop: CancellationToken,
    ) -> Self {
        Self {
            door,
            sessions,
            clock,
            holds,
            open_pages: OpenPages::default(),
            limit: Limit::default(),
            site,
            stop,
        }
    }

    /// All of it as one service.
    fn router(self) -> Router {
        let router = routes().into_iter().fold(Router::new(), |router, route| {
            let handler = match route.rpc {
                Some(rpc) => {
                    let row = from_fn_with_state((self.clone(), rpc), visit::let_in);
                    route.handler.layer(row)
                }
                None => route.handler,
            };
            router.route(route.path, handler)
        });
        guard::around(router.fallback(page::missing)).with_state(self)
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.rpc)
    }
}
