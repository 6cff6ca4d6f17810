//! Arguments that are made to deceive whoever reads them.

use serde_json::{Value, json};

use super::scene::Scene;
use super::story::Story;

/// Longer than any screen, without a place to break it.
const LONG_CHARS: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_sends_is_shown_as_it_is_and_runs_nothing_hides_nothing_and_breaks_no_page() {
    let scene = Scene::set().await;
    let recipients = [
        (
            "markup",
            "<img src=x onerror=\"window.ran=1\"><script>window.ran=1</script></pre></td><b>bold".to_owned(),
        ),
        (
            "turned",
            "US13\u{202e}0003\u{2066}3121\u{200b}\u{feff}\u{061c}".to_owned(),
        ),
        (
            "binary",
            (0..32u8)
                .map(char::from)
                .chain(['\u{7f}', '\u{85}', '\u{fffd}'])
                .collect(),
        ),
        ("long", "W".repeat(LONG_CHARS)),
    ];
    let (mut holds, mut waiting) = (serde_json::Map::new(), Vec::new());
    for (kind, recipient) in &recipients {
        let arguments = json!({ "recipient": recipient, "amount": 1 }).to_string();
        let (hold, asked) = scene.pays(kind, &arguments).await;
        holds.insert((*kind).to_owned(), json!(hold.hold_id));
        waiting.push(asked);
    }
    let given = json!({ "link": scene.link("bob").await, "holds": holds });
    let mut story = Story::begin("hostile", &given).await;
    for (kind, recipient) in &recipients {
        let page = story.saw(kind).await;
        assert_eq!(
            (&page["made"], &page["ran"]),
            (&json!(0), &json!(false)),
            "{kind}: {page}"
        );
        expect_visible(kind, recipient, &page["shown"]["recipient"]);
    }
    story.end().await;
}

/// Every character is shown, those that nobody can see by their number.
fn expect_visible(kind: &str, recipient: &str, shown: &Value) {
    let shown = shown.as_str().unwrap();
    for character in recipient.chars().filter(char::is_ascii_graphic) {
        assert!(
            shown.contains(character),
            "{kind}: `{character}` is missing in {shown}"
        );
    }
    let unseen = |it: &char| it.is_control() || "\u{202e}\u{2066}\u{200b}\u{feff}\u{061c}".contains(*it);
    let left: Vec<char> = shown.chars().filter(unseen).filter(|it| *it != '\n').collect();
    assert!(left.is_empty(), "{kind}: {left:?} can't be seen");
    assert!(
        shown.len() >= recipient.chars().count(),
        "{kind}: something is missing"
    );
}
