//! What nobody guesses: the names of sessions, and the address by which a client on this machine is known.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use checkrein_shared::id::random_bytes;

use crate::directory::write_durably;

/// Where the secret of the address is kept, so that the address stays the same.
pub(super) const FILE: &str = "mcp-address";

/// 256 bits that nobody guesses, as hex.
pub(super) fn made() -> String {
    let bytes: [u8; 32] = random_bytes();
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// The one that was made before, or a new one.
pub(super) fn kept(directory: &Path) -> io::Result<String> {
    let path = directory.join(FILE);
    match fs::read_to_string(&path) {
        Ok(kept) if kept.len() == 64 && kept.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            return Ok(kept);
        }
        Ok(_) => {
            return Err(io::Error::other(
                "it is none; remove the file to have another made",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let made = made();
    write_durably(directory, FILE, made.as_bytes())?;
    Ok(made)
}

#[cfg(test)]
mod tests;
