//! A pack is what lies in its directory, and nothing else.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use super::{BYTES_MAX, FILES_MAX, PackError, name, read, write};

#[test]
fn every_file_is_read_but_those_that_begin_with_a_dot() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("catalog")).unwrap();
    fs::create_dir_all(home.path().join(".git")).unwrap();
    fs::write(home.path().join("catalog/bank.toml"), "a").unwrap();
    fs::write(home.path().join("rules.cedar"), "b").unwrap();
    fs::write(home.path().join(".rules.cedar.swp"), "c").unwrap();
    fs::write(home.path().join(".git/config"), "d").unwrap();
    let files = read(home.path()).unwrap();
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["catalog/bank.toml", "rules.cedar"]);
}

#[test]
fn a_link_is_refused_wherever_it_points() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("rules.cedar"), "").unwrap();
    for (at, target) in ["rules.cedar", "/etc/passwd", "nowhere", "."].iter().enumerate() {
        let link = home.path().join(format!("link-{at}"));
        symlink(target, &link).unwrap();
        assert!(matches!(read(home.path()), Err(PackError::Link(path)) if path == link));
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn more_than_a_pack_may_have_is_refused_before_it_is_read() {
    let home = tempfile::tempdir().unwrap();
    let large = home.path().join("large.json");
    File::create(&large).unwrap().set_len(BYTES_MAX + 1).unwrap();
    assert!(matches!(read(home.path()), Err(PackError::TooLarge(_))));
    File::create(&large).unwrap().set_len(BYTES_MAX).unwrap();
    assert!(read(home.path()).is_ok());
    fs::write(home.path().join("one-more"), "x").unwrap();
    assert!(matches!(read(home.path()), Err(PackError::TooLarge(_))));
}

#[test]
fn too_many_files_and_too_deep_folders_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for at in 0..=FILES_MAX {
        fs::write(home.path().join(at.to_string()), "").unwrap();
    }
    assert!(matches!(read(home.path()), Err(PackError::TooManyFiles(_))));
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("a/b/c/d/e/f/g/h/i")).unwrap();
    assert!(matches!(read(home.path()), Err(PackError::TooDeep(_))));
}

#[test]
fn a_pack_can_not_be_written_outside_its_directory() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("pack");
    for path in ["../evil", "/etc/evil", "a/../../evil", "", "./a", ".."] {
        let written = write(&out, [("good", &b""[..]), (path, b"")].into_iter());
        assert!(
            matches!(written, Err(PackError::Outside(named)) if named == path),
            "{path}"
        );
    }
    assert!(!out.exists());
}

#[test]
fn what_is_written_is_what_is_read_and_no_directory_is_mixed() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("payments");
    write(
        &out,
        [("rules.cedar", &b"r"[..]), ("tests/a.yaml", b"t")].into_iter(),
    )
    .unwrap();
    assert_eq!(read(&out).unwrap().len(), 2);
    assert!(matches!(
        write(&out, [("more", &b""[..])].into_iter()),
        Err(PackError::NotEmpty(_))
    ));
    assert_eq!(name(&out, None).unwrap(), "payments");
    assert_eq!(name(&out.join("tests/.."), None).unwrap(), "payments");
    assert_eq!(name(&out, Some("other")).unwrap(), "other");
}
