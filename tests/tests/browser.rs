//! The console as people use it: in a real Chromium, against a real control plane, while real enforcers hold calls.
//!
//! Goal: what a person reads and does on a page is what the database then says and the enforcer then does. Method: a story
//! (`tests/peers/browser/stories`) says what it sees and does it as a person would; the test knows what must be true, and asks the
//! control plane by RPC. Whatever a browser should never have to say of our pages fails the test, whichever it is. Every page
//! that is looked at is kept as a picture in `target/screens`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "browser/answering.rs"]
mod answering;
#[path = "browser/hostile.rs"]
mod hostile;
#[path = "browser/issuer.rs"]
mod issuer;
#[path = "browser/places.rs"]
mod places;
#[path = "browser/record.rs"]
mod record;
#[path = "browser/scene.rs"]
mod scene;
#[path = "browser/sign_in.rs"]
mod sign_in;
#[path = "browser/story.rs"]
mod story;
#[path = "browser/talking.rs"]
mod talking;
#[path = "browser/together.rs"]
mod together;
#[path = "browser/watched.rs"]
mod watched;
