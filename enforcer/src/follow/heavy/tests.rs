//! The thread that lets go is not the thread that frees.

use std::sync::mpsc::{Sender, channel};
use std::thread::{ThreadId, current};

use super::*;

struct Freed(Sender<ThreadId>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.send(current().id()).unwrap();
    }
}

#[tokio::test]
async fn what_a_worker_lets_go_of_is_freed_elsewhere() {
    let (sender, freed) = channel();
    let detached = tokio::spawn(async move { Heavy::new(Freed(sender)) });
    drop(detached);
    tokio::task::yield_now().await;
    assert_ne!(freed.recv().unwrap(), current().id());
}

#[tokio::test]
async fn what_was_taken_is_its_takers() {
    let (sender, freed) = channel();
    let mut heavy = Heavy::new(Freed(sender));
    drop(heavy.take());
    drop(heavy);
    assert_eq!(freed.recv().unwrap(), current().id());
    assert!(freed.recv().is_err(), "once");
}
