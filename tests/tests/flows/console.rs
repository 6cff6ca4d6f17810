//! The console over real HTTP: who gets in, what a page shows, and what an answer does.

mod answers;
mod bounds;
pub(crate) mod browser;
mod callers;
mod live;
mod pages;
mod remarks;
mod sessions;
mod sign_in;
mod tls;
