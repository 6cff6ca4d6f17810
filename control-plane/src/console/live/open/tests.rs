//! Open pages are counted, and let go.

use super::{OpenPages, PAGES_MAX, PAGES_OF_ONE_MAX, Person, Place, TooMany};

fn person(number: usize) -> Person {
    [format!("spiffe://acme.example/approver/p{number}")
        .parse()
        .unwrap()]
    .into()
}

#[test]
fn one_persons_pages_are_bounded_and_keep_no_one_else_out() {
    let pages = OpenPages::default();
    let mut open: Vec<Place> = (0..PAGES_OF_ONE_MAX)
        .map(|_| pages.open(&person(1)).unwrap())
        .collect();
    assert_eq!(pages.open(&person(1)).unwrap_err(), TooMany::OfOne);
    assert!(pages.open(&person(2)).is_ok());
    open.pop();
    assert!(pages.open(&person(1)).is_ok());
}

#[test]
fn all_pages_are_bounded_and_whoever_left_is_forgotten() {
    let pages = OpenPages::default();
    let open: Vec<Place> = (0..PAGES_MAX)
        .map(|number| pages.open(&person(number)).unwrap())
        .collect();
    assert_eq!(pages.open(&person(PAGES_MAX)).unwrap_err(), TooMany::OfAll);
    drop(open);
    assert!(pages.lock().by_person.is_empty());
    assert!(pages.open(&person(1)).is_ok());
}
