//! What is at the destination is whole, and what was begun is finished by the same command.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory of this test alone; gone with it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("checkrein-draft-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn place(&self) -> PathBuf {
        self.0.join("edge")
    }

    /// Everything in it, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

fn purpose(text: &str) -> Sha256 {
    Sha256::of(text.as_bytes())
}

const FILES: &[(&str, &str)] = &[("certificate.pem", "certificate"), ("enforcer.toml", "config")];

#[test]
fn a_draft_that_is_published_is_whole_and_its_key_private() {
    let home = Home::new("whole");
    let draft = Draft::open(&home.place(), &purpose("one")).unwrap();
    assert_eq!(draft.keep_key("key").unwrap(), "key");
    assert!(!home.place().exists());
    draft.publish(FILES).unwrap();
    assert_eq!(home.names(), ["edge"]);
    for (name, text) in [("key.pem", "key"), FILES[0], FILES[1]] {
        assert_eq!(
            fs::read_to_string(home.place().join(name)).unwrap(),
            text,
            "{name}"
        );
    }
    let mode = |name: &str| {
        let found = fs::metadata(home.place().join(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("key.pem"), mode(".")), (0o600, 0o700));
}

#[test]
fn wherever_a_try_ended_the_next_one_finishes_it_with_the_key_of_the_first() {
    let home = Home::new("crash");
    for left in 0..4 {
        let draft = Draft::open(&home.place(), &purpose("one")).unwrap();
        let path = draft.path.clone();
        // What a process that died at each step leaves.
        let first = match left {
            0 => None,
            1 => {
                fs::write(path.join(".key.pem.new"), "half a k").unwrap();
                None
            }
            2 => Some(draft.keep_key("first").unwrap()),
            _ => {
                let key = draft.keep_key("first").unwrap();
                fs::write(
                    path.join("certificate.pem"),
                    "half a certificate of a longer text",
                )
                .unwrap();
                Some(key)
            }
        };
        drop(draft);
        assert!(!home.place().exists(), "{left}");
        let draft = Draft::open(&home.place(), &purpose("one")).unwrap();
        let key = draft.keep_key("second").unwrap();
        assert_eq!(key, first.unwrap_or_else(|| "second".to_owned()), "{left}");
        draft.publish(FILES).unwrap();
        assert_eq!(home.names(), ["edge"], "{left}");
        let entries = fs::read_dir(home.place()).unwrap();
        assert_eq!(entries.count(), 3, "{left}");
        let certificate = fs::read_to_string(home.place().join("certificate.pem")).unwrap();
        assert_eq!(certificate, "certificate", "{left}");
        fs::remove_dir_all(home.place()).unwrap();
    }
}

#[test]
fn what_is_at_the_destination_is_never_overwritten() {
    let home = Home::new("exists");
    let exists = |refused: Result<Draft, DraftError>| matches!(refused, Err(DraftError::Exists(_)));
    // Nothing is lost with an empty directory.
    fs::create_dir(home.place()).unwrap();
    let begun = Draft::open(&home.place(), &purpose("one")).unwrap();
    begun.keep_key("key").unwrap();
    fs::write(home.place().join("key.pem"), "another").unwrap();
    assert!(exists(Draft::open(&home.place(), &purpose("two"))));
    // It came after the look, and is found when the draft is put there.
    assert!(matches!(begun.publish(FILES), Err(DraftError::Exists(_))));
    assert_eq!(
        fs::read_to_string(home.place().join("key.pem")).unwrap(),
        "another"
    );
    fs::remove_dir_all(home.place()).unwrap();
    fs::write(home.place(), "a file").unwrap();
    assert!(exists(Draft::open(&home.place(), &purpose("one"))));
    fs::remove_file(home.place()).unwrap();
    std::os::unix::fs::symlink("/nowhere", home.place()).unwrap();
    assert!(exists(Draft::open(&home.place(), &purpose("one"))));
}

#[test]
fn a_draft_has_one_writer_and_each_purpose_its_own() {
    let home = Home::new("lock");
    let one = Draft::open(&home.place(), &purpose("one")).unwrap();
    let again = Draft::open(&home.place(), &purpose("one"));
    assert!(matches!(again, Err(DraftError::Busy(_))), "{again:?}");
    let two = Draft::open(&home.place(), &purpose("two")).unwrap();
    assert_eq!(one.keep_key("first").unwrap(), "first");
    assert_eq!(two.keep_key("second").unwrap(), "second");
    one.discard().unwrap();
    two.discard().unwrap();
    assert_eq!(home.names(), [""; 0]);
}

#[test]
fn a_directory_without_a_name_is_refused() {
    for nameless in ["..", "/"] {
        let refused = Draft::open(Path::new(nameless), &purpose("one"));
        let is_refused = matches!(refused, Err(DraftError::Exists(_) | DraftError::Nameless(_)));
        assert!(is_refused, "{nameless}: {refused:?}");
    }
}
