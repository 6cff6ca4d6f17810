//! Inputs that are nearly right.
//!
//! Bytes at random die at a parser's first line. An entry of the corpus with a byte gone, a piece of another entry in it, or
//! one of the marks that parsers trip over gets further in.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

/// So many inputs, the same ones each time, unless `PROPTEST_CASES` says how many: then others each time.
const CASES: u32 = 3_000;
/// An input is changed so often.
const CHANGES_MAX: usize = 6;
/// An input is cut to so many bytes: what is repeated is repeated again.
const INPUT_BYTES_MAX: usize = 128 << 10;
/// What separates, quotes, escapes, ends or overflows somewhere.
const MARKS: [&[u8]; 40] = [
    b"\0",
    b"\n",
    b"\r",
    b"\t",
    b" ",
    b"'",
    b"\"",
    b"`",
    b"\\",
    b"/",
    b"//",
    b"..",
    b"../",
    b"%2e",
    b"%252e",
    b"%00",
    b"@",
    b":",
    b";",
    b"#",
    b"?",
    b"*",
    b"--",
    b"/*",
    b"*/",
    b"$(",
    b"${",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"-",
    b"e9999",
    b"18446744073709551616",
    b"\xff",
    b"\xe2\x80\xae",
    b"\xef\xbc\x8f",
    b"\\ud800",
    b"xn--",
];

#[derive(Debug, Clone)]
enum Change {
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    Replace(Index, u8),
    /// A piece of another entry.
    Splice(Index, Index, Index),
    Repeat(Index, Index, usize),
}

/// Runs a property over changed entries of a corpus, after the entries themselves.
pub(super) fn run(corpus: &[Vec<u8>], property: impl Fn(&[u8]) -> TestCaseResult) {
    run_one_in(1, corpus, property);
}

/// The same, for what takes long: one of so many inputs.
pub(super) fn run_one_in(share: u32, corpus: &[Vec<u8>], property: impl Fn(&[u8]) -> TestCaseResult) {
    for entry in corpus {
        property(entry).unwrap();
    }
    let cases = Config::default().cases;
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config {
        cases: if is_asked { cases } else { CASES } / share,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = if is_asked {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let outcome = runner.run(&inputs(corpus), |input| property(&input));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// The lines of a corpus file.
pub(super) fn lines(file: &str) -> Vec<Vec<u8>> {
    file.lines().map(|line| line.as_bytes().to_vec()).collect()
}

fn inputs(corpus: &[Vec<u8>]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let entries = corpus.to_vec();
    (any::<Index>(), vec(change(), 0..=CHANGES_MAX)).prop_map(move |(entry, changes)| {
        let input = entry.get(&entries).clone();
        changes
            .iter()
            .fold(input, |input, change| apply(input, change, &entries))
    })
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let mark = select(&MARKS[..]).prop_map(<[u8]>::to_vec);
    prop_oneof![
        (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        (at(), mark).prop_map(|(at, mark)| Change::Insert(at, mark)),
        (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (at(), at(), at()).prop_map(|(entry, from, into)| Change::Splice(entry, from, into)),
        (at(), at(), 2_usize..200).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
    ]
}

fn apply(mut input: Vec<u8>, change: &Change, entries: &[Vec<u8>]) -> Vec<u8> {
    let place = |at: &Index, length: usize| at.index(length + 1);
    let length = input.len();
    match change {
        Change::Remove(from, to) => {
            let (from, to) = (place(from, length), place(to, length));
            input.drain(from.min(to)..from.max(to));
        }
        Change::Insert(at, bytes) => {
            let at = place(at, length);
            input.splice(at..at, bytes.iter().copied());
        }
        Change::Replace(at, byte) if length > 0 => input[at.index(length)] = *byte,
        Change::Replace(..) => {}
        Change::Splice(entry, from, into) => {
            let other = entry.get(entries);
            let (from, into) = (place(from, other.len()), place(into, length));
            input.splice(into..into, other[from..].iter().copied());
        }
        Change::Repeat(from, to, times) => {
            let (from, to) = (place(from, length), place(to, length));
            let piece = input[from.min(to)..from.max(to)].repeat(*times);
            input.splice(from..from, piece);
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
