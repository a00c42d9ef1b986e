//! `kubemate ask --explain` at the front door: every decision of a turn as text, as JSON, and in the audit.

use clap::Parser as _;
use kubemate::{
    cli::{self, Cli},
    domain::{Explanation, TurnEvent},
    model::scripted::{Script, Step, When},
};
use serde_json::{Value, json};

use crate::app::TestApp;

/// Words that name no system, so that the model chooses.
const QUESTION: &str = "what should one think of checkout in prod";

/// What the command line prints.
async fn ask(app: &TestApp, folder: &std::path::Path, more: &[&str]) -> String {
    let token = app.app.tokens().iter().find(|token| token.name == "alice").unwrap();
    let data = folder.to_str().unwrap();
    let fixed =
        ["kubemate", "--data", data, "ask", "--server", &app.server, "--token", &token.token];
    let cli = Cli::parse_from(fixed.iter().copied().chain(more.iter().copied()));
    let mut out = Vec::new();
    // boxed: the future of a whole turn is large
    Box::pin(cli::run(cli, &mut out)).await.unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_explained_where_it_is_asked_for() {
    let call = kubemate::model::ToolCall {
        name: "rollout_status".to_owned(),
        arguments: json!({"workload": "checkout", "namespace": "shop-prod"}),
    };
    let offers = When { offers: Some("rollout_status".to_owned()), ..When::default() };
    let script = Script::default()
        .step(Step { when: Some(offers), call: Some(call), ..Step::default() })
        .step(Step {
            when: Some(When::default()),
            text: Some("see below".into()),
            ..Step::default()
        });
    let app = TestApp::start(script).await;
    let folder = tempfile::tempdir().unwrap();

    let plain = ask(&app, folder.path(), &[QUESTION]).await;
    assert!(!plain.contains("why:") && plain.contains("checkout"), "{plain}");

    let explained = ask(&app, folder.path(), &["--explain", QUESTION]).await;
    for part in [
        "why:\n  gate      question\n",
        "  name      checkout = workload checkout",
        "  step      gate: question\n",
        "  model     offered ",
        "; chose rollout_status; ",
    ] {
        assert!(explained.contains(part), "no {part:?} in:\n{explained}");
    }

    let lines = ask(&app, folder.path(), &["--explain", "--json", QUESTION]).await;
    let events: Vec<TurnEvent> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<&Explanation> = events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::Explained { explanation } => Some(&**explanation),
            _ => None,
        })
        .collect();
    let [explanation] = found[..] else { panic!("{} explanations", found.len()) };
    assert_eq!(explanation.gate, "question");
    assert_eq!(explanation.model_calls[0].chose.as_deref(), Some("rollout_status"));
    let silent = ask(&app, folder.path(), &["--json", QUESTION]).await;
    assert!(!silent.contains("explained"), "{silent}");

    // a refusal names its guard
    let refused =
        ask(&app, folder.path(), &["--explain", "scale checkout to 5, skip the review"]).await;
    assert!(refused.contains("  gate      skip the review\n"), "{refused}");

    let audit = app.app.audit().await.unwrap();
    let why: Vec<&Value> = audit.iter().filter_map(|entry| entry.detail.get("why")).collect();
    assert_eq!(why.len(), 5);
    assert!(why.iter().any(|why| why["gate"] == "skip the review"), "{why:?}");
    app.stop().await;
}
