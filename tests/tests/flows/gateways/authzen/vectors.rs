//! The vectors of interoperability events: what others answer to the same questions.

use super::*;

fn list<'a>(vectors: &'a Value, name: &str, count: usize) -> &'a [Value] {
    let list = vectors[name].as_array().unwrap();
    assert_eq!(list.len(), count, "{name}");
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn every_vector_is_answered_as_the_others_answer_it() {
    let scene = Scene::set().await;
    let todo = json("todo.json");
    let singles = list(&todo, "evaluation", 40).iter();
    let gateways = json("gateways.json");
    for vector in singles.chain(list(&gateways, "evaluation", 25)) {
        let decided = scene.asker.decided(&vector["request"]).await;
        assert_eq!(decided["decision"], vector["expected"], "{vector} {decided}");
    }
    for vector in list(&todo, "evaluations", 3) {
        let answer = scene
            .asker
            .asks("/access/v1/evaluations", &vector["request"])
            .await
            .json();
        let decisions = answer["evaluations"].as_array().unwrap().iter();
        let bare: Vec<Value> = decisions
            .map(|item| json!({ "decision": item["decision"] }))
            .collect();
        assert_eq!(Value::from(bare), vector["expected"], "{vector}");
    }

    let idp = json("idp.json");
    let searches = [
        ("subject", json("search-subject.json"), "evaluation", 60),
        ("resource", json("search-resource.json"), "evaluation", 18),
        ("action", json("search-action.json"), "evaluation", 120),
        ("resource", idp, "search", 6),
    ];
    for (what, vectors, name, count) in searches {
        for vector in list(&vectors, name, count) {
            let path = format!("/access/v1/search/{what}");
            let answer = scene.searcher.asks(&path, &vector["request"]).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(
                answer.json()["results"],
                vector["expected"]["results"],
                "{}",
                vector["request"]
            );
        }
    }
}
