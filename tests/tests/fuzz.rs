//! Every parser that reads bytes of somebody else's choosing, on inputs made to break it.
//!
//! A few thousand inputs each here, as many as one likes with `make fuzz` (`FUZZ_CASES=…`). An input is an entry of the
//! target's corpus, changed a few times at random; what fails is shrunk and printed, and belongs in the corpus from then on.
//! A parser that is added gets a file here, a corpus beside it, and a property: that it doesn't panic is the least; that what
//! it admits is what it says is better. A crate's private parser has its target in its own tests, named `fuzz` too.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod fuzz {
    mod arguments;
    mod bundle;
    mod chain;
    mod constraint;
    mod grant;
    mod hostile;
    mod identity;
    mod pack;
    mod text;
}
