//! Nobody votes on something other than what was shown.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::task::v1::{LabelSource, TaskLabel};
use checkrein_shared::action::{ActionIdentity, Arguments, Sha256};
use checkrein_shared::id::TaskId;
use checkrein_shared::{ManualClock, action::MaskingKey};

use super::show::Shown;
use super::view::HoldView;
use super::{show, table};
use crate::cli::output::Paint;
use crate::words::{ShownAction, Unreadable};

const NOW_MS: u64 = 1_767_225_600_000;
const PLAIN: Paint = Paint::new(false);

fn held(arguments: &[u8]) -> wire::Hold {
    let arguments = Arguments::parse(arguments).unwrap();
    let identity = ActionIdentity {
        task: TaskId::new(&ManualClock::at(NOW_MS)),
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        delegated_by: Vec::new(),
        user: "alice".into(),
        tool: "bank/send_money".into(),
        definition: Sha256::of(b"definition"),
        arguments: arguments.masked(&MaskingKey::new(b"key"), &["memo".to_owned()]),
    };
    wire::Hold {
        hold_id: "hold_01".into(),
        state: wire::State::Open.into(),
        action: Some((&identity).into()),
        requirements: vec![wire::Requirement {
            rule: "pay-unnamed".into(),
            group: "treasury".into(),
            quorum: 1,
            decide_within_ms: 1_800_000,
            use_within_ms: 300_000,
            reason: "nobody named it".into(),
        }],
        reason: "the user did not name this account".into(),
        intent: "pay the March invoice".into(),
        opened_unix_ms: NOW_MS - 60_000,
        decide_by_unix_ms: NOW_MS + 12 * 60_000,
        ..wire::Hold::default()
    }
}

#[test]
fn what_hashes_as_named_can_be_voted_on() {
    let hold = held(br#"{"recipient":"US13","amount":10.0}"#);
    let shown = ShownAction::verify(&hold).unwrap();
    assert_eq!(shown.sha256.to_bytes(), hold.action.unwrap().action_sha256);
    assert_eq!(
        shown.arguments,
        "{\n  \"amount\": 10.0,\n  \"recipient\": \"US13\"\n}"
    );
}

#[test]
fn any_change_to_what_is_shown_refuses_the_vote() {
    let changes: [fn(&mut wire::HeldAction); 6] = [
        |action| action.user = "mallory".into(),
        |action| action.tool = "bank/read".into(),
        |action| action.agent = "spiffe://acme.example/agent/other".into(),
        |action| action.arguments = br#"{"amount":10.0,"recipient":"XX"}"#.as_slice().into(),
        |action| action.definition_sha256 = Sha256::of(b"other").to_bytes(),
        |action| action.action_sha256 = Sha256::of(b"other").to_bytes(),
    ];
    for change in changes {
        let mut hold = held(br#"{"recipient":"US13","amount":10.0}"#);
        change(hold.action.as_mut().unwrap());
        let refused = ShownAction::verify(&hold).unwrap_err();
        assert!(matches!(refused, Unreadable::HashMismatch { .. }), "{refused:?}");
        assert!(show::card(&hold, NOW_MS, PLAIN).contains("do not approve"));
        assert!(
            !serde_json::to_string(&HoldView::of(&hold))
                .unwrap()
                .contains("\"action_sha256_verified\":true")
        );
    }
}

#[test]
fn arguments_with_two_readings_refuse_the_vote() {
    let mut hold = held(b"{}");
    hold.action.as_mut().unwrap().arguments = br#"{"to":"alice","to":"mallory"}"#.as_slice().into();
    assert!(matches!(
        ShownAction::verify(&hold),
        Err(Unreadable::Arguments(_))
    ));
    hold.action = None;
    assert!(matches!(ShownAction::verify(&hold), Err(Unreadable::NoAction)));
}

#[test]
fn the_page_shows_who_what_why_and_the_very_bytes() {
    let hold = held(br#"{"recipient":"US13","amount":500.00001,"memo":"secret"}"#);
    let action = hold.action.clone().unwrap();
    let page = show::card(&hold, NOW_MS, PLAIN);
    let canonical = String::from_utf8(action.arguments.to_vec()).unwrap();
    let sha256 = Sha256::try_from(&*action.action_sha256).unwrap().to_string();
    for part in [
        "spiffe://acme.example/agent/billing",
        "alice",
        "bank/send_money",
        "500.00001",
        "answer in 12 min",
        "the user did not name this account",
        "1 person of `treasury`",
        canonical.as_str(),
        sha256.as_str(),
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(!page.contains("secret"), "{page}");
}

#[test]
fn arguments_can_not_draw_on_the_approvers_terminal() {
    let hold = held("{\"note\":\"\u{202e}\u{9b}2J\"}".as_bytes());
    let page = show::card(&hold, NOW_MS, PLAIN);
    assert!(!page.contains(['\u{202e}', '\u{9b}']), "{page:?}");
}

#[test]
fn the_list_says_whom_a_hold_waits_for_and_until_when() {
    let listed = table(&[held(b"{}")], NOW_MS, PLAIN);
    assert!(listed.contains("treasury   in 12 min"), "{listed}");
    assert_eq!(table(&[], NOW_MS, PLAIN), "nothing waits for people\n");
}

#[test]
fn scripts_get_the_arguments_as_they_are_hashed() {
    let hold = held(br#"{"amount":500.00001}"#);
    let json = serde_json::to_string(&HoldView::of(&hold)).unwrap();
    assert!(json.contains(r#""arguments":{"amount":500.00001}"#), "{json}");
    assert!(
        json.contains(r#""decide_by":"2026-01-01T00:12:00.000Z""#),
        "{json}"
    );
}

#[test]
fn whoever_is_asked_sees_what_the_task_carries_and_because_of_which_call() {
    let label = TaskLabel {
        label: "pii".to_owned(),
        source: LabelSource::Call.into(),
        decision_id: "dec_7".to_owned(),
        tool: "crm/look".to_owned(),
        agent: "spiffe://acme.example/agent/reader".to_owned(),
        enforcer: "edge".to_owned(),
        added_unix_ms: NOW_MS - 60_000,
    };
    let shown = Shown {
        hold: held(b"{}"),
        labels: vec![label],
        ..Shown::default()
    };
    let page = show::page(&shown, NOW_MS, PLAIN);
    assert!(
        page.contains("pii, which a call of crm/look by spiffe://acme.example/agent/reader through edge brought 60 s ago (dec_7)"),
        "{page}"
    );
    let json = serde_json::to_value(HoldView::of_shown(&shown)).unwrap();
    assert_eq!(json["task_carries"][0]["decision_id"], "dec_7");
    let bare = Shown {
        hold: held(b"{}"),
        ..Shown::default()
    };
    assert!(show::page(&bare, NOW_MS, PLAIN).contains("task carries  no labels"));
}

/// Open before carol, and dave in the place of bob; frank is asked as well.
fn asked() -> wire::Hold {
    let id = |name: &str| format!("spiffe://acme.example/approver/{name}");
    let may = |approver: &str, seat: &str, group: &str, why: wire::Why| wire::MayAnswer {
        rule: "pay-unnamed".to_owned(),
        capacity: Some(wire::Capacity {
            approver: id(approver),
            seat: id(seat),
            group: group.to_owned(),
            why: why.into(),
            since_unix_ms: NOW_MS - 60_000,
        }),
    };
    wire::Hold {
        may_answer: vec![
            may("carol", "carol", "treasury", wire::Why::Unspecified),
            may("dave", "bob", "treasury", wire::Why::Unspecified),
            may("frank", "frank", "board", wire::Why::Unanswered),
        ],
        asked: vec![wire::Asked {
            rule: "pay-unnamed".to_owned(),
            group: "board".to_owned(),
            why: wire::Why::Unanswered.into(),
            since_unix_ms: NOW_MS - 60_000,
        }],
        ..held(b"{}")
    }
}

#[test]
fn the_page_and_the_list_say_who_may_answer_now_and_as_whom() {
    let page = show::card(&asked(), NOW_MS, PLAIN);
    for line in [
        "spiffe://acme.example/approver/carol, in `treasury`",
        "spiffe://acme.example/approver/dave, deputy of spiffe://acme.example/approver/bob in `treasury`",
        "spiffe://acme.example/approver/frank, in `board`, which is asked as well",
        "`board` as well, 60 s ago (not enough answers in time)",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    let listed = table(&[asked()], NOW_MS, PLAIN);
    assert!(listed.contains("carol, dave for bob, frank"), "{listed}");
    let nobody = show::card(&held(b"{}"), NOW_MS, PLAIN);
    assert!(nobody.contains("nobody now"), "{nobody}");
    let json = serde_json::to_value(HoldView::of(&asked())).unwrap();
    assert_eq!(
        json["may_answer"][1]["deputy_of"],
        "spiffe://acme.example/approver/bob"
    );
    assert_eq!(
        json["may_answer"][2]["asked_because"],
        "not enough answers in time"
    );
}

#[test]
fn broken_glass_is_seen_on_the_page_in_the_list_and_by_scripts() {
    let mut hold = asked();
    hold.glass = Some(wire::Glass {
        breaks: vec![wire::Break {
            approver: "spiffe://acme.example/approver/frank".to_owned(),
            reason: "payroll is due".to_owned(),
            broken_unix_ms: NOW_MS,
        }],
        ..wire::Glass::default()
    });
    let one = show::card(&hold, NOW_MS, PLAIN);
    assert!(
        one.contains("payroll is due") && one.contains("it takes two"),
        "{one}"
    );
    hold.glass.as_mut().unwrap().broken_unix_ms = NOW_MS;
    let broken = show::card(&hold, NOW_MS, PLAIN);
    assert!(
        broken.contains("BROKEN") && broken.contains("by nobody yet"),
        "{broken}"
    );
    assert!(table(std::slice::from_ref(&hold), NOW_MS, PLAIN).contains("broken, unreviewed"));
    let json = serde_json::to_value(HoldView::of(&hold)).unwrap();
    assert_eq!(
        (&json["glass"]["broken"], &json["glass"]["review"]),
        (&true.into(), &serde_json::Value::Null)
    );
}

#[test]
fn whoever_is_asked_sees_whether_it_can_be_undone_and_what_differs_from_the_last_time() {
    let before = wire::Before {
        hold_id: "hold_00".to_owned(),
        arguments: br#"{"amount":1,"memo":{"masked":"x"},"note":"hi"}"#.as_slice().into(),
        opened_unix_ms: NOW_MS - 60_000,
    };
    let shown = Shown {
        hold: wire::Hold {
            reversibility: 4,
            ..held(br#"{"amount":2,"memo":"secret"}"#)
        },
        before: Some(before),
        ..Shown::default()
    };
    let page = show::page(&shown, NOW_MS, PLAIN);
    for line in [
        "It can't be undone.",
        "approved: hold_00, 60 s ago",
        "amount was 1",
        "memo was another secret",
        "note was hi",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    let json = serde_json::to_value(HoldView::of_shown(&shown)).unwrap();
    assert_eq!(
        (&json["reversibility"], &json["before"]["id"]),
        (&"irreversible".into(), &"hold_00".into())
    );
    // What nobody said is not promised.
    assert!(show::card(&held(b"{}"), NOW_MS, PLAIN).contains("take it that it can't"));
    let json = serde_json::to_value(HoldView::of(&held(b"{}"))).unwrap();
    assert_eq!(json["reversibility"], serde_json::Value::Null);
}
