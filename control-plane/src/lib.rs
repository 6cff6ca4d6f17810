//! The control plane: the one who knows. Policies, tasks, holds and the record, over Postgres.
//!
//! | room | its verbs |
//! |---|---|
//! | [`policy`] | push, rollback, list, show; bundles and their segments |
//! | [`fleet`] | register, certify; the session with each enforcer |
//! | [`task`] | start, end, revoke, confirm |
//! | [`hold`] | open, vote, consume, sweep |
//! | [`decision`] | append, search, show, count |
//! | [`notify`] | tell people of holds; list, retry, test |
//!
//! Beside them: [`database`], the one door to Postgres; [`feed`], how replicas learn; [`caller`], who may call what;
//! [`console`], the pages for people, and [`session`], who is signed in there; [`authority`], the keys; [`words`], what people read of it; [`server`], all of it on one socket.
//!
//! **Invariant**: a replica keeps no state that another could not read from Postgres. It never sees an enforcer's code.

mod api;

pub mod authority;
mod beside;
pub mod caller;
pub mod cli;
pub mod config;
pub mod console;
pub mod database;
pub mod decision;
pub mod demo;
pub mod feed;
pub mod fleet;
pub mod hold;
pub mod installation;
pub mod notify;
pub mod policy;
pub mod postgres;
pub mod server;
pub mod session;
pub mod task;
pub mod words;

pub use server::{RunError, run};
