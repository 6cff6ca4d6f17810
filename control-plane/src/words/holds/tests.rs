//! Whose a hold is to look at, after it went from hand to hand.

use super::*;

fn id(name: &str) -> String {
    format!("spiffe://acme.example/approver/{name}")
}

fn hands(hands: &[(&str, &str)]) -> Vec<Remark> {
    let remark = |(from, to): &(&str, &str)| wire::Remark {
        author: id(from),
        to: if to.is_empty() { String::new() } else { id(to) },
        text: "on leave".to_owned(),
        ..wire::Remark::default()
    };
    remarks(&wire::Hold {
        remarks: hands.iter().map(remark).collect(),
        ..wire::Hold::default()
    })
}

fn handed_for(name: &str, said: &[(&str, &str)]) -> Handed {
    handed(&hands(said), |one| one == id(name))
}

#[test]
fn a_hold_is_with_whom_it_was_handed_to_last_and_not_with_who_handed_it_on() {
    let said = [("bob", "carol"), ("carol", "")];
    assert_eq!(handed_for("bob", &said), Handed::To("carol".to_owned()));
    assert_eq!(handed_for("carol", &said), Handed::By("bob".to_owned()));
    assert_eq!(handed_for("dave", &said), Handed::No);
    let back = [("bob", "carol"), ("carol", "bob")];
    assert_eq!(handed_for("bob", &back), Handed::By("carol".to_owned()));
    assert_eq!(handed_for("carol", &back), Handed::To("bob".to_owned()));
}

#[test]
fn what_can_not_be_read_is_left_out_and_the_rest_is_said() {
    let unreadable = wire::Remark {
        author: "who knows".to_owned(),
        ..wire::Remark::default()
    };
    let hold = wire::Hold {
        remarks: vec![
            unreadable,
            wire::Remark {
                author: id("bob"),
                ..wire::Remark::default()
            },
        ],
        ..wire::Hold::default()
    };
    assert_eq!(remarks(&hold).len(), 1);
}
