//! What a push says of its reach.

use super::reach;

#[test]
fn a_push_that_reaches_nobody_says_so_in_words() {
    assert_eq!(reach(0), "no enforcer that it selects is registered yet");
    assert_eq!(reach(1), "it is in the bundle of 1 enforcer");
    assert_eq!(reach(2), "it is in the bundles of 2 enforcers");
}
