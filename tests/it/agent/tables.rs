//! Tables of messages: without a model, code alone must do the right thing with every one of them.

use kubemate::{
    agent::{Config, Outcome, TurnResult},
    domain::Role,
    model::ToolCall,
};
use serde::Deserialize;

use super::fake::{Talk, agent, data, line, worlds};

/// One message and what must come of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    world: String,
    say: String,
    #[serde(rename = "as")]
    role: Option<Role>,
    /// `change` (the default with `ops`), `clarify`, `refuse`, `answer` or `any` but a change.
    want: Option<String>,
    ops: Vec<String>,
    choices: Vec<String>,
    code: Option<String>,
    calls: Vec<String>,
    /// The question, reason or choices contain this.
    has: Option<String>,
    /// kubemate then tells that this change was proposed.
    change: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dialogue {
    world: String,
    turns: Vec<Case>,
}

/// Whether a call is as wanted: the tool and, after it, the arguments that matter.
fn is_call(want: &str, call: &ToolCall) -> bool {
    let mut parts = want.split(' ');
    let tool = parts.next().is_some_and(|tools| tools.split('|').any(|tool| tool == call.name));
    let argument = |pair: &str| {
        let (key, value) = pair.split_once('=').expect("an argument is key=value");
        match &call.arguments[key] {
            serde_json::Value::String(text) => text == value,
            other => serde_json::from_str::<serde_json::Value>(value).is_ok_and(|v| v == *other),
        }
    };
    tool && parts.all(argument)
}

/// What is wrong with an outcome; `None` when nothing is.
fn wrong(case: &Case, outcome: &Outcome) -> Option<String> {
    let kind = match &outcome.result {
        TurnResult::Answer(_) => "answer",
        TurnResult::Change(_) => "change",
        TurnResult::Clarify { .. } => "clarify",
        TurnResult::Refuse { .. } => "refuse",
        TurnResult::Failed(_) => "failed",
    };
    let why = || format!("got {:?}; because {}", outcome.result, outcome.state["why"]);
    let want = case.want.as_deref().unwrap_or("change");
    let fits = want == kind || (want == "any" && kind != "change" && kind != "failed");
    if !fits {
        return Some(format!("wanted {want}, {}", why()));
    }
    if let TurnResult::Change(operations) = &outcome.result {
        let lines: Vec<String> = operations.iter().map(line).collect();
        if lines != case.ops {
            return Some(format!("wanted {:?}, got {lines:?}", case.ops));
        }
    }
    if let TurnResult::Clarify { choices, .. } = &outcome.result {
        let said: Vec<&str> = choices.iter().map(|c| c.label.as_str()).collect();
        if !case.choices.is_empty() && said != case.choices {
            return Some(format!("wanted the choices {:?}, {}", case.choices, why()));
        }
    }
    if let (Some(code), TurnResult::Refuse { code: got, .. }) = (&case.code, &outcome.result)
        && code != got
    {
        return Some(format!("wanted the code {code}, {}", why()));
    }
    let right = case.calls.len() == outcome.calls.len()
        && case.calls.iter().zip(&outcome.calls).all(|(want, call)| is_call(want, call));
    if !case.calls.is_empty() && !right {
        return Some(format!(
            "wanted the calls {:?}, got {:?}, {}",
            case.calls,
            outcome.calls,
            why()
        ));
    }
    let text = format!("{:?}", outcome.result);
    case.has
        .as_ref()
        .filter(|has| !text.contains(has.as_str()))
        .map(|has| format!("no '{has}', {}", why()))
}

async fn check(file: &str) {
    let worlds = worlds();
    let cases: Vec<Case> = data(file);
    let mut failures = Vec::new();
    for case in &cases {
        let mut talk = Talk::new(agent(None, Config::default()), worlds[&case.world].clone());
        talk.role = case.role.unwrap_or(Role::Operator);
        let outcome = talk.say(&case.say).await;
        failures.extend(wrong(case, &outcome).map(|what| format!("{}\n    {what}", case.say)));
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[tokio::test]
async fn commands_become_exactly_their_operations() {
    check("commands.yaml").await;
}

#[tokio::test]
async fn everything_else_changes_nothing() {
    check("others.yaml").await;
}

#[tokio::test]
async fn questions_read_what_they_ask_for() {
    check("questions.yaml").await;
}

#[tokio::test]
async fn conversations_keep_their_thread() {
    let worlds = worlds();
    let dialogues: Vec<Dialogue> = data("dialogues.yaml");
    let mut failures = Vec::new();
    for dialogue in &dialogues {
        let mut talk = Talk::new(agent(None, Config::default()), worlds[&dialogue.world].clone());
        for case in &dialogue.turns {
            let outcome = talk.say(&case.say).await;
            if let Some(what) = wrong(case, &outcome) {
                failures.push(format!("{} / {}\n    {what}", dialogue.turns[0].say, case.say));
                break;
            }
            if let Some(change) = &case.change {
                talk.told(change);
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        dialogues.len(),
        failures.join("\n")
    );
}

#[tokio::test]
async fn requests_written_later_are_understood_too() {
    check("unseen.yaml").await;
}
