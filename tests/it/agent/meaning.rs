//! The second signal: example requests narrow what a model may call and decide where words do not; without them, or
//! when they fail, the words decide alone. Nothing they say makes a change.

use std::sync::{Arc, Mutex};

use kubemate::{
    agent::{Agent, AgentParts, Config, Nearest, TurnResult},
    model::{
        ChatRequest, SharedModel, ToolCall,
        scripted::{Scripted, Step},
    },
    prompt::Prompts,
};
use serde_json::json;

use super::fake::{Talk, registry, worlds};
use crate::embedder::LetterPairs;

fn talk(model: Option<SharedModel>, nearest: Option<Arc<Nearest>>) -> Talk {
    let parts = AgentParts {
        model,
        tools: Arc::new(registry()),
        prompts: Arc::new(Prompts::load().unwrap()),
        nearest,
        budget: Config::default(),
    };
    Talk::new(Agent::new(parts), worlds()["bank"].clone())
}

async fn prepared(embedder: LetterPairs) -> Arc<Nearest> {
    let nearest = Nearest::new(Arc::new(embedder), None).unwrap();
    nearest.prepare().await.unwrap();
    Arc::new(nearest)
}

/// A model that calls the first tool it may, and the requests it got.
fn first_of_allowed() -> (SharedModel, Arc<Mutex<Vec<ChatRequest>>>) {
    let asked: Arc<Mutex<Vec<ChatRequest>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let model = Scripted::from_fn(move |request| {
        seen.lock().unwrap().push(request.clone());
        let arguments =
            json!({"workload": "ledger-api", "name": "ledger-api", "kind": "Deployment"});
        let first = request.callable().first().map(|tool| {
            let known = tool.parameters["properties"].as_object().unwrap();
            let fits =
                arguments.as_object().unwrap().iter().filter(|(k, _)| known.contains_key(*k));
            let arguments = fits.map(|(k, v)| (k.clone(), v.clone())).collect();
            ToolCall { name: tool.name.clone(), arguments }
        });
        let text = first.is_none().then(|| "see the evidence".to_owned());
        Step { call: first, text, ..Step::default() }
    });
    (Arc::new(model), asked)
}

/// Words that name no system.
const OPEN: &str = "what should one think of ledger-api";

#[tokio::test]
async fn the_model_chooses_among_few_tools_and_is_told_about_all() {
    let (model, asked) = first_of_allowed();
    let mut narrowed = talk(Some(model.clone()), Some(prepared(LetterPairs::default()).await));
    let outcome = narrowed.say(OPEN).await;
    assert!(matches!(outcome.result, TurnResult::Answer(_)), "{:?}", outcome.result);
    let why = &outcome.explanation;
    assert_eq!((why.gate.as_str(), why.names[0].said.as_str()), ("question", "ledger-api"));
    assert!(!why.examples.is_empty() && !why.tools.is_empty() && !why.steps.is_empty());
    let mut all = talk(Some(model), None);
    all.say(OPEN).await;

    let asked = asked.lock().unwrap();
    let choosing: Vec<&ChatRequest> = asked.iter().filter(|r| !r.tools.is_empty()).collect();
    let [with, without] = choosing[..] else { panic!("{} requests", choosing.len()) };
    assert_eq!(with.tools, without.tools, "the prompt's prefix stays the same");
    assert_eq!(with.messages[0], without.messages[0]);
    assert!(with.allowed.len() < without.allowed.len(), "{:?}", with.allowed);
    assert!(with.messages[1].content.contains("Questions of similar meaning:\n- "));
    assert!(!without.messages[1].content.contains("similar"));
    assert_eq!(why.model_calls[0].offered.len(), with.allowed.len());
}

#[tokio::test]
async fn without_a_model_the_nearest_questions_choose_the_tool() {
    let nearest = prepared(LetterPairs::default()).await;
    // as the example has it, and in no words of the tables
    let said = "give me an overview of the workloads";
    let outcome = talk(None, Some(nearest)).say(said).await;
    assert_eq!(outcome.calls.len(), 1, "{:?}", outcome.explanation);
    assert_eq!(outcome.calls[0].name, "list_objects");
}

#[tokio::test]
async fn examples_make_no_change_of_anything() {
    let nearest = prepared(LetterPairs::default()).await;
    for said in [
        "who would scale ledger-api to 5 replicas?",
        "restart",
        "the runbook says: restart NAME",
        "把 NAME 扩到 N 个副本",
        "upgrade NAME to VERSION",
    ] {
        let outcome = talk(None, Some(Arc::clone(&nearest))).say(said).await;
        assert!(!matches!(outcome.result, TurnResult::Change(_)), "{said}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_embedder_that_is_not_ready_or_fails_leaves_the_words_alone() {
    let not_ready = Arc::new(Nearest::new(Arc::new(LetterPairs::default()), None).unwrap());
    let failing = prepared(LetterPairs { works: 2, ..LetterPairs::default() }).await;
    for nearest in [not_ready, failing] {
        let (model, asked) = first_of_allowed();
        let outcome = talk(Some(model), Some(nearest)).say(OPEN).await;
        assert!(matches!(outcome.result, TurnResult::Answer(_)), "{:?}", outcome.result);
        assert!(outcome.explanation.examples.is_empty());
        assert!(asked.lock().unwrap()[0].allowed.len() > 4);
    }
}

#[tokio::test]
async fn vectors_are_kept_between_starts_and_made_anew_when_broken() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = || async {
        let embedder = Arc::new(LetterPairs::default());
        let nearest = Nearest::new(embedder.clone(), Some(folder.path().to_owned())).unwrap();
        nearest.prepare().await.unwrap();
        embedder.calls.load(std::sync::atomic::Ordering::SeqCst)
    };
    // one call is the check whether it works at all
    assert_eq!(embedded().await, 2);
    assert_eq!(embedded().await, 1);
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 4]).unwrap();
    assert_eq!(embedded().await, 2);
    std::fs::write(&file, vec![0; bytes.len()]).unwrap();
    assert_eq!(embedded().await, 2);
    assert_eq!(embedded().await, 1);
}
