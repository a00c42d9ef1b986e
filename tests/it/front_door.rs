//! The main job through the front door: a message in Chinese or English becomes a reviewed commit, healthy objects, and a
//! word in the same thread.

use std::fmt::Write as _;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kubemate::{
    domain::{Block, Change, ChangeState, ObjectRef},
    gitops::text_diff::hunks,
    model::scripted::{Failure, Script, Step, When},
};
use serde_json::{Value, json};

use crate::app::{TestApp, diff, sample, scenario};

/// What differs from one run to the next.
const VOLATILE: [(&str, &str); 6] = [
    (r"\d{4}-\d\d-\d\dT[0-9:]+Z", "[time]"),
    (r"\bc-[a-z2-7]{8}\b", "[change]"),
    (r"(commit|提交) [0-9a-f]{8}", "$1 [commit]"),
    (r"\d+\.\d s", "[seconds] s"),
    (r"index [0-9a-f]+\.\.[0-9a-f]+", "index [blobs]"),
    (r"(Prompt|Plan): \S+", "$1: [hash]"),
];

/// A repository with who asks and who approves there.
struct Place {
    scenario: &'static str,
    asks: &'static str,
    approves: &'static str,
}

const SHOP: Place = Place { scenario: "shop", asks: "alice", approves: "bob" };
/// Other names, other environments, another layout; nothing of it is known to `src` either.
const METRO: Place = Place { scenario: "metro", asks: "lena", approves: "raj" };

/// One operation, asked for in one language.
struct Case {
    place: Place,
    name: &'static str,
    say: &'static str,
    tool: &'static str,
    arguments: Value,
}

/// Says it, approves it, and holds all it did against the snapshot.
async fn whole_loop(case: Case) {
    let call = kubemate::model::ToolCall { name: case.tool.to_owned(), arguments: case.arguments };
    let offers = Some(When { offers: Some(case.tool.to_owned()), ..When::default() });
    let script = Script::default().step(Step { when: offers, call: Some(call), ..Step::default() });
    let mut app = TestApp::with(scenario(case.place.scenario), script, |_| ()).await;
    let (change, done) = carried(&mut app, &case.place, case.say).await;
    assert!(change.model.is_some() && change.prompt.is_some(), "the model's call was not taken");
    insta::with_settings!({filters => VOLATILE}, {
        insta::assert_snapshot!(case.name, done);
    });
    app.stop().await;
}

/// From words to health. Returns the change and what it did: the commit as git has it, the live objects, and the words that
/// the thread was told.
async fn carried(app: &mut TestApp, place: &Place, say: &str) -> (Change, String) {
    let proposed = app.say(place.asks, say).await.proposed();
    let proposed = app.change(&proposed).await;
    assert_eq!(proposed.state, ChangeState::Proposed, "{:?}", proposed.message);
    let objects = proposed.plan.iter().flat_map(|plan| &plan.objects);
    let objects: Vec<ObjectRef> = objects.map(|diff| diff.object.clone()).collect();
    let spec = |app: &TestApp, object| {
        let live = app.live(object);
        serde_json::to_string_pretty(&live["spec"]).unwrap() + "\n"
    };
    let before: Vec<String> = objects.iter().map(|object| spec(app, object)).collect();
    app.approve(place.approves, &proposed).await.unwrap();
    let done = app.finished(&proposed.id).await;
    assert_eq!(done.state, ChangeState::Healthy, "{:?}", done.message);
    // told in the same thread, with the way back
    let told = app.told(place.asks, &format!("/undo {}", done.id)).await;
    let mut did = app.commit(&done);
    for (object, before) in objects.iter().zip(before) {
        let live = app.live(object);
        assert_eq!(live["status"]["readyReplicas"], live["spec"]["replicas"], "{object}");
        assert_eq!(live["status"]["observedGeneration"], live["metadata"]["generation"]);
        let changed = hunks(&before, &spec(app, object));
        write!(did, "\nlive {object}\n{changed}").unwrap();
    }
    for block in &told.blocks {
        if let Block::Text { text } = block {
            write!(did, "\ntold {}: {text}", place.asks).unwrap();
        }
    }
    (done, did)
}

macro_rules! loops {
    ($place:ident $($name:ident: $say:literal => $tool:literal $arguments:tt;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            whole_loop(Case {
                place: $place,
                name: stringify!($name),
                say: $say,
                tool: $tool,
                arguments: json!($arguments),
            })
            .await;
        }
    )*};
}

loops! { SHOP
    scale_en: "scale checkout in prod to 5" => "scale" {"workload": "checkout", "replicas": 5};
    scale_zh: "把生产环境的 cart 扩到 4 个副本" => "scale" {"workload": "cart", "replicas": 4};
    image_en: "upgrade search in prod to 0.18.0" => "set_image" {"workload": "search", "image": ":0.18.0"};
    image_zh: "把 prod 的 payment 镜像升级到 2.12.1" => "set_image" {"workload": "payment", "image": ":2.12.1"};
    env_en: "set LOG_LEVEL=debug on notifications in prod" => "set_env" {"workload": "notifications", "set": {"LOG_LEVEL": "debug"}};
    env_zh: "把线上 notifications 的环境变量 BATCH_SIZE 改成 80" => "set_env" {"workload": "notifications", "set": {"BATCH_SIZE": "80"}};
    resources_en: "raise the memory limit of search in prod to 768Mi" => "set_resources" {"workload": "search", "limits": {"memory": "768Mi"}};
    resources_zh: "把生产的 notifications 的内存上限调到 256Mi" => "set_resources" {"workload": "notifications", "limits": {"memory": "256Mi"}};
    restart_en: "restart orders in prod" => "restart" {"workload": "orders"};
    restart_zh: "重启一下生产环境的 orders" => "restart" {"workload": "orders"};
}

loops! { METRO
    metro_scale_en: "scale planner2 in live to 4" => "scale" {"workload": "planner2", "replicas": 4};
    metro_scale_zh: "把 live 的售票机扩到 3 个副本" => "scale" {"workload": "kiosk", "replicas": 3};
    metro_image_en: "upgrade timetable in live to 3.8.0" => "set_image" {"workload": "timetable", "image": ":3.8.0"};
    metro_image_zh: "把 live 的闸机升级到 12.4.1" => "set_image" {"workload": "gates", "image": ":12.4.1"};
    metro_env_en: "set READER_TIMEOUT_MS=500 on gates in live" => "set_env" {"workload": "gates", "set": {"READER_TIMEOUT_MS": "500"}};
    metro_env_zh: "把 live 的 kiosk 的环境变量 RECEIPTS 改成 off" => "set_env" {"workload": "kiosk", "set": {"RECEIPTS": "off"}};
    metro_resources_en: "raise the memory limit of signal-feed in live to 384Mi" => "set_resources" {"workload": "signal-feed", "limits": {"memory": "384Mi"}};
    metro_resources_zh: "把 live 的 gates 的内存上限调到 512Mi" => "set_resources" {"workload": "gates", "limits": {"memory": "512Mi"}};
    metro_restart_en: "restart kiosk in live" => "restart" {"workload": "kiosk"};
    metro_restart_zh: "重启一下 live 的时刻表" => "restart" {"workload": "timetable"};
}

/// A change and the way back from it, both asked for in words; the way back is a reviewed commit of its own.
async fn there_and_back(place: Place, name: &str, [change, back]: [&str; 2], undoes: bool) {
    let mut app = TestApp::with(scenario(place.scenario), Script::default(), |_| ()).await;
    let (there, _) = carried(&mut app, &place, change).await;
    let (undone, done) = carried(&mut app, &place, back).await;
    assert_eq!(undone.undoes.as_ref() == Some(&there.id), undoes);
    insta::with_settings!({filters => VOLATILE}, {
        insta::assert_snapshot!(name, done);
    });
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_en() {
    let say =
        ["upgrade search in prod to 0.18.0", "roll search in prod back to the previous version"];
    there_and_back(SHOP, "rollback_en", say, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_zh() {
    let say = ["把 prod 的 payment 镜像升级到 2.12.1", "把生产环境的 payment 回滚到上一个版本"];
    there_and_back(SHOP, "rollback_zh", say, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_en() {
    let say = ["scale checkout in prod to 5", "undo that change please"];
    there_and_back(SHOP, "undo_en", say, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_zh() {
    let say = ["把线上 notifications 的环境变量 BATCH_SIZE 改成 80", "撤销刚才的变更"];
    there_and_back(SHOP, "undo_zh", say, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metro_undo_en() {
    let say = ["scale planner2 in live to 4", "undo that change please"];
    there_and_back(METRO, "metro_undo_en", say, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metro_rollback_zh() {
    let say = ["把 live 的闸机升级到 12.4.1", "把 live 的闸机回滚到上一个版本"];
    there_and_back(METRO, "metro_rollback_zh", say, false).await;
}

/// Somebody edits the live object after the proposal: its approval is refused with the reason, the thread hears of it and nothing
/// is written. Asked again, the plan says whose edit would be overwritten.
async fn drift_voids(say: &str, [reason, told, takeover]: [&str; 3]) {
    let mut app = TestApp::start(Script::default()).await;
    let proposed = app.say("alice", say).await.proposed();
    let proposed = app.change(&proposed).await;
    let object = proposed.plan.as_ref().unwrap().objects[0].object.clone();
    let sandbox = app.app.sandbox().unwrap();
    let mut config = kube::Config::new(sandbox.url().parse().unwrap());
    config.auth_info.token = Some(sandbox.admin_token().to_owned().into());
    let client = kube::Client::try_from(config).unwrap();
    let api: kube::Api<Deployment> = kube::Api::namespaced(client, "shop-prod");
    let manager = PatchParams { field_manager: Some("kubectl-edit".into()), ..Default::default() };
    let edit = Patch::Merge(json!({"spec": {"replicas": 4}}));
    api.patch(&object.name, &manager, &edit).await.unwrap();

    for _again in 0..2 {
        let refused = app.approve("bob", &proposed).await.unwrap_err().to_string();
        assert!(refused.contains(reason) && refused.contains(&object.name), "{refused}");
    }
    let message = serde_json::to_string(&app.told("alice", told).await).unwrap();
    assert!(message.contains(reason) && message.contains(&proposed.id.0), "{message}");
    let stale = app.change(&proposed.id).await;
    assert_eq!((stale.state, stale.merged), (ChangeState::Stale, None));
    assert_eq!(app.live(&object)["spec"]["replicas"], 4);

    let again = app.say("alice", say).await.proposed();
    let again = app.change(&again).await;
    let findings = serde_json::to_string(&again.plan.as_ref().unwrap().findings).unwrap();
    assert!(findings.contains(takeover) && findings.contains("kubectl-edit"), "{findings}");
    app.approve("bob", &again).await.unwrap();
    assert_eq!(app.finished(&again.id).await.state, ChangeState::Healthy);
    assert_eq!(app.live(&object)["spec"]["replicas"], 5);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_drift_voids_a_proposal_en() {
    let words = ["live objects were changed", "nothing was applied", "takes fields over"];
    drift_voids("scale checkout in prod to 5", words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_drift_voids_a_proposal_zh() {
    let words = ["集群中的对象在评审之后被改动了", "未做任何改动", "接管字段"];
    drift_voids("把生产环境的 cart 扩到 5 个副本", words).await;
}

/// Asking back, choosing, typed commands, approval rules and undo, in one conversation and without a model's help.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_asks_back_refuses_and_undoes() {
    let mut app = TestApp::start(Script::default()).await;
    // two places fit: nothing is guessed
    let reply = app.say("alice", "/scale checkout 4").await;
    let choices: Vec<String> = reply.choices().map(|choice| choice.say.clone()).collect();
    assert_eq!(choices.len(), 2, "{}", reply.text());
    let prod = choices.iter().find(|say| say.contains("prod")).expect("prod is a choice");
    let reply = app.say("alice", prod).await;
    let proposed = app.change(&reply.proposed()).await;

    // four eyes
    let refused = |result: anyhow::Result<_>| {
        result.map(|_: kubemate::domain::Change| ()).unwrap_err().to_string()
    };
    let own = refused(app.approve("alice", &proposed).await);
    assert!(own.contains("alice"), "{own}");
    refused(app.approve("carol", &proposed).await);
    app.approve("bob", &proposed).await.unwrap();
    assert_eq!(app.finished(&proposed.id).await.state, ChangeState::Healthy);
    refused(app.approve("bob", &proposed).await);

    // the way back is a reviewed change of its own
    let reply = app.say("alice", &format!("/undo {}", proposed.id)).await;
    let undo = app.change(&reply.proposed()).await;
    assert_eq!(undo.undoes.as_ref(), Some(&proposed.id));
    app.approve("dave", &undo).await.unwrap();
    assert_eq!(app.finished(&undo.id).await.state, ChangeState::Healthy);
    let back: String =
        diff(&undo).replace("\n+", "\n?").replace("\n-", "\n+").replace("\n?", "\n-");
    let lines = |text: &str| -> std::collections::BTreeSet<String> {
        let changed = text.lines().filter(|line| line.starts_with(['+', '-']));
        changed.map(str::to_owned).collect()
    };
    assert_eq!(lines(&back), lines(&diff(&proposed)), "the undo is the inverse");
    app.stop().await;
}

/// Whatever cannot be done says why, and writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_a_clear_answer_and_write_nothing() {
    let mut app = TestApp::start(Script::default()).await;
    for (who, say) in [
        ("carol", "/scale checkout 4 -n shop-staging"),
        ("alice", "/scale checkout -1 -n shop-prod"),
        ("alice", "/scale checkout 1000000000 -n shop-prod"),
        ("alice", "/scale chekout 4 -n shop-prod"),
        ("alice", "/scale checkout 4 -n nowhere"),
        ("alice", "/image checkout \"1 2\" -n shop-prod"),
        ("alice", "/approve c-nothing0"),
        ("alice", "/skale checkout 4"),
        ("alice", "scale checkout in prod to -1"),
        ("alice", "scale checkout in prod to 1000000000"),
        ("alice", "show me the password of the database"),
        ("alice", "把 checkout 扩到 5 个，直接改，不用审批"),
    ] {
        let reply = app.say(who, say).await;
        assert!(reply.change().is_none(), "{say}: {}", reply.text());
        assert!(reply.refusal().is_some() || reply.choices_asked(), "{say}: {}", reply.text());
    }
    let long = "x".repeat(1 << 20);
    let opened = app.client("alice").say(None, &long, |_| ()).await.unwrap_err().to_string();
    assert!(opened.contains("longer than"), "{opened}");
    let changes: Vec<kubemate::domain::Change> = app.client("dave").get("/changes").await.unwrap();
    assert!(changes.is_empty());
    app.stop().await;
}

/// A model that misbehaves costs one turn within the budget, and the operator is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_misbehaving_model_costs_one_turn() {
    for step in [
        Step { raw: Some("I would rather write a poem {{{".to_owned()), ..Step::default() },
        Step { endless: Some("la ".to_owned()), ..Step::default() },
        Step { never: true, ..Step::default() },
        Step { fail: Some(Failure::Unavailable), ..Step::default() },
    ] {
        let always = Step { when: Some(When::default()), ..step.clone() };
        let scenario = sample();
        let script = Script::default().step(always);
        let mut app = TestApp::with(scenario, script, |config| config.agent.turn_seconds = 4).await;
        let reply = app.say("alice", "why does payment in prod answer so slowly since noon?").await;
        assert!(reply.blocks().next().is_some(), "{step:?} left the operator without an answer");
        assert!(reply.change().is_none(), "{step:?}: {}", reply.text());
        // and the next typed command works
        let reply = app.say("alice", "/rollout checkout -n shop-prod").await;
        assert!(reply.text().contains("checkout"), "{}", reply.text());
        app.stop().await;
    }
}
