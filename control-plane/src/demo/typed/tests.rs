//! What is typed, from inputs that end, break off, and never end a line.

use std::io::{self, Cursor, ErrorKind, Read};

use super::Lines;

/// Gives these, one at a time, and then ends.
struct Pieces(Vec<io::Result<&'static [u8]>>);

impl Read for Pieces {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.pop() else { return Ok(0) };
        let piece = piece?;
        bytes[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

async fn count(input: impl Read + Send + 'static) -> usize {
    let mut lines = Lines::of(input).unwrap();
    let mut count = 0;
    while lines.next().await.is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn each_line_is_one_wish_however_it_comes_and_a_line_that_never_ends_is_none() {
    assert_eq!(count(io::empty()).await, 0);
    assert_eq!(count(Cursor::new(vec![b'a'; 100_000])).await, 0);
    let interrupted = Err(io::Error::from(ErrorKind::Interrupted));
    let pieces = vec![Ok(&b"\n"[..]), interrupted, Ok(b"more"), Ok(b"a line\n")];
    assert_eq!(count(Pieces(pieces)).await, 2);
}

#[tokio::test]
async fn an_input_that_breaks_is_one_that_ends() {
    let broken = || Err(io::Error::from(ErrorKind::BrokenPipe));
    assert_eq!(
        count(Pieces(vec![Ok(b"never read\n"), broken(), Ok(b"\n")])).await,
        1
    );
}
