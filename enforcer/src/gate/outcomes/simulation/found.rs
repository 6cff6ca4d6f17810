//! Schedules that broke a promise once.

use super::primary::Flaw;
use super::schedule::Deed::{Customer, Draft, Page, Send};
use super::schedule::Op::{self, Advance, Answer, Complete, Hear, Lift, Present, Repeat, Serve};
use super::schedule::Told::Steering;
use super::site::Site;
use super::{Literal, outcome};

async fn breach(flaw: Flaw, ops: &[Op]) -> Option<String> {
    let breach = outcome(&Site::open(), flaw, ops).await.err();
    breach.map(|why| format!("{why}\n{}", Literal(ops)))
}

/// A release that was asked for twice was taken out of the ledger and left its number: with it added again, the view here was numbered
/// as the change after, and took that one's place.
#[tokio::test]
async fn a_release_that_is_asked_for_again_does_not_hide_what_was_written_after_it() {
    let ops = [
        Present(0, Send),
        Answer(0),
        Serve(0),
        Repeat(0),
        Present(0, Customer),
        Answer(1),
        Answer(0),
        Present(0, Draft),
    ];
    assert_eq!(breach(Flaw::None, &ops).await, None);
    assert!(breach(Flaw::MisnumbersRepeats, &ops).await.is_some());
}

/// What came with a confirmation was taken to be as new as its arrival.
#[tokio::test]
async fn what_was_long_on_its_way_is_as_old_as_its_question() {
    let ops = [
        Present(0, Send),
        Answer(0),
        Serve(0),
        Present(1, Customer),
        Answer(1),
        Advance(1_001),
        Answer(0),
        Present(0, Draft),
    ];
    assert_eq!(breach(Flaw::None, &ops).await, None);
}

/// A label that the task was known to carry was not written again, though a person had lifted it.
#[tokio::test]
async fn what_a_call_of_a_past_epoch_gives_is_labelled_anew() {
    let ops = [
        Present(0, Page),
        Complete(0, Steering),
        Answer(0),
        Present(0, Page),
        Lift,
        Hear(0),
        Complete(0, Steering),
        Answer(0),
    ];
    assert_eq!(breach(Flaw::None, &ops).await, None);
}
