//! The pack for BFCL's conversations, held to what is said of it: it denies nothing of benign work, and holds little.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use checkrein_shared::decision::Tier;
use checkrein_shared::policy::{Pack, PackSource};
use checkrein_tests::open_pack;
use checkrein_tests::replay::{Conversation, Corpus, Friction, Results, Stage, friction};

const AGENT: &str = "spiffe://acme.example/agent/assistant";
const SETS: [&str; 5] = ["base", "miss_func", "miss_param", "long_context", "composite"];
/// Of so many conversations one is replayed; `bfcl` replays them all.
const SAMPLE: usize = 8;
/// At most so many of a hundred calls may wait for a person.
const HELD_PERCENT_MAX: usize = 5;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn corpora() -> Vec<Corpus> {
    let read = |set: &str| std::fs::read(deploy().join("bfcl").join(set).with_extension("json")).unwrap();
    let given = |set: &str| {
        let file = deploy().join("bfcl/results").join(set).with_extension("json");
        Results::parse(&std::fs::read(file).unwrap()).unwrap()
    };
    let whole = |set: &str| {
        let mut corpus = Corpus::parse(&read(set)).unwrap();
        corpus.give(given(set)).unwrap();
        corpus
    };
    SETS.map(whole).into()
}

fn pack() -> (PackSource, Pack) {
    open_pack(&deploy().join("packs/bfcl")).unwrap()
}

/// No conversation of the sample has the call whose argument is not of its tool's type, nor more than five holds.
fn sampled() -> Vec<Conversation> {
    corpora()
        .into_iter()
        .flat_map(|corpus| corpus.conversations.into_iter().step_by(SAMPLE))
        .collect()
}

fn is_as_promised(pack: &Pack, friction: &Friction) {
    let calls = friction.calls;
    assert!(calls.all > 500, "{friction}");
    assert_eq!(
        (friction.broken, calls.denied, friction.denials.len()),
        (0, 0, 0),
        "{friction}"
    );
    assert!(calls.held > 0, "it permits everything: {friction}");
    assert!(calls.held * 100 <= calls.all * HELD_PERCENT_MAX, "{friction}");
    let full: BTreeSet<&str> = pack
        .tools()
        .filter(|tool| tool.tier() == Tier::Full)
        .map(|tool| tool.id.as_str())
        .collect();
    for tool in friction.by_tool.keys() {
        assert!(
            full.contains(tool.as_str()),
            "`{tool}` only reads or can be undone, and waits"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_benign_conversations_nothing_is_denied_and_only_what_cannot_be_undone_ever_waits() {
    let (source, pack) = pack();
    let conversations = sampled();
    let stage = Stage::set(&source, &pack, AGENT).await.unwrap();
    let judgements = stage.converse(&conversations, || ()).await.unwrap();
    stage.strike().await;
    for (conversation, judgements) in conversations.iter().zip(&judgements) {
        assert_eq!(conversation.calls().count(), judgements.len(), "{conversation}");
    }
    is_as_promised(&pack, &friction(&pack, &conversations, &judgements));
}

#[test]
fn every_call_of_the_package_is_replayed_or_counted_as_left_out_and_its_tool_is_known() {
    let (_, pack) = pack();
    let known: BTreeSet<&str> = pack.tools().map(|tool| tool.id.as_str()).collect();
    let corpora = corpora();
    let calls =
        |corpus: &Corpus| -> usize { corpus.conversations.iter().map(|one| one.calls().count()).sum() };
    let left_out = |corpus: &Corpus| -> usize { corpus.left_out.iter().map(|one| one.calls).sum() };
    assert_eq!(corpora.iter().map(calls).sum::<usize>(), 5_277);
    assert_eq!(corpora.iter().map(left_out).sum::<usize>(), 610);
    let conversations = corpora.iter().flat_map(|corpus| &corpus.conversations);
    let used: BTreeSet<&str> = conversations.flat_map(Conversation::scope).collect();
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), [&""; 0]);
}

#[test]
fn what_a_call_gave_is_known_only_of_services_that_keep_records() {
    let corpora = corpora();
    let turns = corpora
        .iter()
        .flat_map(|corpus| &corpus.conversations)
        .flat_map(|conversation| &conversation.turns);
    let given = turns.flat_map(|turn| turn.calls.iter().zip(&turn.results));
    let known: Vec<_> = given.filter(|(_, result)| result.is_some()).collect();
    assert!(known.len() > 2_000, "{}", known.len());
    let services: BTreeSet<&str> = known
        .iter()
        .filter_map(|(call, _)| call.tool.split('/').next())
        .collect();
    assert!(
        services
            .into_iter()
            .eq(["messages", "posts", "tickets", "trading", "travel"])
    );
}
