//! Changes from the front: what works from request to health, and what is refused on the way.

use kubemate::{
    delivery::DeliveryError,
    domain::{ChangeState, Operation, Severity},
    policy::{self, ApprovalRule},
    worktree::MAIN,
};
use serde_json::json;

use super::world::{WEB, World, actor, image, request, scale, web};

/// The machine-readable reason of a refusal.
fn code<T: std::fmt::Debug>(result: Result<T, DeliveryError>) -> String {
    match result.expect_err("is refused") {
        DeliveryError::NotPermitted(refusal) => refusal.code,
        DeliveryError::Stale(_) => "stale".into(),
        DeliveryError::Conflict(_) => "conflict".into(),
        other => panic!("another error: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_request_to_health() {
    let world = World::start().await;
    let change = world
        .delivery
        .propose(&actor("alice"), request("把 web 扩到 5 个副本", vec![scale(5)]))
        .await
        .unwrap();
    assert_eq!(change.state, ChangeState::Proposed);
    let plan = change.plan.as_ref().unwrap();
    assert_eq!(plan.files.len(), 1);
    assert!(plan.files[0].diff.contains("+  replicas: 5 # enough for the night"));
    assert!(plan.objects[0].rendered_diff.contains("-  replicas: 2\n+  replicas: 5"));
    assert!(plan.objects[0].live_diff.as_ref().unwrap().contains("+  replicas: 5"));
    assert_eq!(world.replicas(), json!(2), "nothing happens before the approval");

    assert_eq!(code(world.approve("alice", &change.id).await), "requester-approves");
    assert_eq!(code(world.approve("dave", &change.id).await), "no-approver-role");
    world.approve("bob", &change.id).await.unwrap();
    let end = world.end(&change.id).await;
    assert_eq!((end.state, end.message.as_deref()), (ChangeState::Healthy, None));
    assert_eq!(world.replicas(), json!(5));
    assert_eq!(world.file("team/web.yaml"), WEB.replace("replicas: 2", "replicas: 5"));

    let log = world.repository.log(&world.repository.head(MAIN).unwrap().unwrap(), &[], 1).unwrap();
    assert_eq!(Some(&log[0].revision), end.merged.as_ref());
    assert!(log[0].trailers.contains(&("Approved-by".into(), "bob".into())));
    let commit = world.repository.log(end.head.as_ref().unwrap(), &[], 1).unwrap();
    assert_eq!(
        (commit[0].author.as_str(), &*commit[0].subject),
        ("alice", "Scale team/web to 5 replicas")
    );
    let trailer = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = [
        trailer("Requested-by", "alice"),
        trailer("Change-Id", &change.id.0),
        trailer("Model", "scripted:test"),
    ];
    assert_eq!(commit[0].trailers, expected);
    let audit = world.audit(&change.id).await;
    assert_eq!(
        audit,
        [
            "alice request",
            "alice propose",
            "alice refuse",
            "dave refuse",
            "bob approve",
            "kubemate merge",
            "kubemate apply",
            "kubemate healthy"
        ]
    );
    assert_eq!(code(world.approve("carol", &change.id).await), "conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_the_branch_voids_the_plan() {
    let world = World::start().await;
    let change = world.propose("alice", scale(5)).await.unwrap();
    let pushed = WEB.replace("replicas: 2", "replicas: 50");
    world.push(change.branch.as_ref().unwrap(), "team/web.yaml", Some(pushed));
    let error = world.approve("bob", &change.id).await.unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Stale(why) if why.contains("pushed to its review branch")),
        "{error}"
    );
    assert_eq!(world.end(&change.id).await.state, ChangeState::Stale);
    assert_eq!(code(world.approve("bob", &change.id).await), "stale");
    assert_eq!(world.file("team/web.yaml"), WEB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_drift_voids_the_plan() {
    let world = World::start().await;
    let change = world.propose("alice", scale(5)).await.unwrap();
    world.edit(json!({"spec": {"replicas": 3}})).await;
    let error = world.approve("bob", &change.id).await.unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Stale(why) if why.contains("live objects were changed") && why.contains("team/web")),
        "{error}"
    );
    assert_eq!(world.replicas(), json!(3));

    // asked again, the plan shows whom the field is taken from, and taking it is then approved
    let again = world.propose("alice", scale(5)).await.unwrap();
    let plan = again.plan.as_ref().unwrap();
    assert_eq!(plan.objects[0].takeovers, ["kubectl-edit: .spec.replicas"]);
    assert!(
        plan.findings
            .iter()
            .any(|f| f.check == "field-takeover" && f.severity == Severity::Warning)
    );
    world.approve("bob", &again.id).await.unwrap();
    assert_eq!(world.end(&again.id).await.state, ChangeState::Healthy);
    assert_eq!(world.replicas(), json!(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_elsewhere_in_the_object_is_no_matter() {
    let world = World::start().await;
    let change = world.propose("alice", scale(3)).await.unwrap();
    world.edit(json!({"metadata": {"annotations": {"note": "by hand"}}})).await;
    world.approve("bob", &change.id).await.unwrap();
    assert_eq!(world.end(&change.id).await.state, ChangeState::Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_branch_moving_voids_only_what_it_touches() {
    let world = World::start().await;
    let one = world.propose("alice", scale(5)).await.unwrap();
    let two = world.propose("alice", scale(4)).await.unwrap();
    let concurrent =
        |check: &str| two.plan.as_ref().unwrap().findings.iter().any(|f| f.check == check);
    assert!(concurrent("concurrent-change"));

    let settings = world.file("team/settings.yaml").replace("\"1\"", "\"2\"");
    world.push(MAIN, "team/settings.yaml", Some(settings));
    world.approve("bob", &one.id).await.unwrap();
    assert_eq!(world.end(&one.id).await.state, ChangeState::Healthy);
    let error = world.approve("bob", &two.id).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Stale(why) if why.contains("same lines")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_ask_and_who_must_approve() {
    let rule =
        ApprovalRule { namespaces: vec!["team".into()], count: Some(2), ..ApprovalRule::default() };
    let world =
        World::start_with(policy::Config { approvals: vec![rule], ..Default::default() }).await;
    assert_eq!(code(world.propose("dave", scale(5)).await), "no-operator-role");
    assert_eq!(code(world.propose("eve", scale(5)).await), "rbac");
    let change = world.propose("alice", scale(5)).await.unwrap();
    let once = world.approve("bob", &change.id).await.unwrap();
    assert_eq!(once.state, ChangeState::Proposed, "one of two");
    assert_eq!(code(world.approve("bob", &change.id).await), "approved-already");
    world.approve("carol", &change.id).await.unwrap();
    assert_eq!(world.end(&change.id).await.state, ChangeState::Healthy);

    let change = world.propose("alice", scale(6)).await.unwrap();
    assert_eq!(
        code(world.delivery.reject(&actor("dave"), &change.id, None).await),
        "no-approver-role"
    );
    let rejected =
        world.delivery.reject(&actor("bob"), &change.id, Some("not now".into())).await.unwrap();
    assert_eq!(rejected.state, ChangeState::Rejected);
    assert_eq!(code(world.approve("carol", &change.id).await), "conflict");
    assert_eq!(world.repository.head(change.branch.as_ref().unwrap()).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_and_rollback_go_back_by_commits() {
    let world = World::start().await;
    let scaled = world.carried(scale(5)).await;
    let updated = world.carried(image(":1.1")).await;
    assert_eq!(updated.state, ChangeState::Healthy, "{:?}", updated.message);

    let undone = world.carried(Operation::Undo { change: scaled.id.clone() }).await;
    assert_eq!(undone.state, ChangeState::Healthy, "{:?}", undone.message);
    assert_eq!(undone.undoes, Some(scaled.id.clone()));
    assert_eq!(world.file("team/web.yaml"), WEB.replace("web:1.0", "web:1.1"), "the image stays");
    assert_eq!(world.replicas(), json!(2));
    let twice = world.propose("alice", Operation::Undo { change: scaled.id }).await.unwrap_err();
    assert!(matches!(&twice, DeliveryError::Invalid(_)), "{twice}");

    let back = Operation::Rollback { target: web(), revision: undone.base.clone() };
    let back = world.carried(back).await;
    assert_eq!(back.state, ChangeState::Healthy, "{:?}", back.message);
    assert_eq!(world.replicas(), json!(5));
    let last = world.carried(Operation::Rollback { target: web(), revision: None }).await;
    assert_eq!(last.state, ChangeState::Healthy, "{:?}", last.message);
    assert_eq!(world.replicas(), json!(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_image_is_told_early_and_can_be_undone() {
    let world = World::start().await;
    let bad = world.carried(image(":9.9")).await;
    assert_eq!(bad.state, ChangeState::Degraded);
    let message = bad.message.clone().unwrap();
    assert!(message.contains("ImagePullBackOff"), "{message}");
    let undone = world.carried(Operation::Undo { change: bad.id }).await;
    assert_eq!(undone.state, ChangeState::Healthy, "{:?}", undone.message);
    assert_eq!(world.file("team/web.yaml"), WEB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_for_what_cannot_be_done() {
    let world = World::start().await;
    let before = world.repository.head(MAIN).unwrap();
    let missing =
        Operation::Scale { target: "apps/v1/Deployment/team/wbe".parse().unwrap(), replicas: 3 };
    for operation in [missing, scale(2), image(":a tag")] {
        let error = world.propose("alice", operation).await.unwrap_err();
        assert!(matches!(&error, DeliveryError::Invalid(_)), "{error}");
    }
    assert_eq!(world.repository.head(MAIN).unwrap(), before);
    assert!(world.delivery.changes(&Default::default()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_mid_flight_goes_on_after_the_start() {
    let mut world = World::start().await;
    let change = world.propose("alice", scale(5)).await.unwrap();
    world.approve("bob", &change.id).await.unwrap();
    world.stop().await;
    world.run();
    assert_eq!(world.end(&change.id).await.state, ChangeState::Healthy);
    assert_eq!(world.replicas(), json!(5));
}
