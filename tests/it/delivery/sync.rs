//! Bringing the whole cluster to the main branch: at the first start and after pushes from outside, with every guard
//! around deletions.

use kubemate::{
    delivery::DeliveryError,
    domain::ChangeState,
    policy,
    reconcile::{Applied, Step},
    worktree::MAIN,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::world::{self, WEB, World, delivery_at, scale};

async fn sync(world: &World) -> Vec<(String, Applied)> {
    world.delivery.sync_main(&CancellationToken::new()).await.unwrap()
}

/// `Kind/name step` of everything that was not unchanged.
async fn steps(world: &World) -> Vec<String> {
    let done = sync(world).await;
    let steps = done.iter().flat_map(|(_, applied)| &applied.steps);
    steps
        .filter(|(_, step)| *step != Step::Unchanged)
        .map(|(object, step)| {
            let step = format!("{step:?}");
            format!(
                "{}/{} {}",
                object.kind,
                object.name,
                step.split('(').next().unwrap_or_default()
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_creates_everything_once() {
    let world = World::paused(policy::Config::default()).await;
    assert_eq!(
        steps(&world).await,
        ["Namespace/team Created", "ConfigMap/settings Created", "Deployment/web Created"]
    );
    assert_eq!(steps(&world).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_git_drops_is_deleted_except_what_is_precious() {
    let world = World::paused(policy::Config::default()).await;
    sync(&world).await;
    world.push(MAIN, "team/settings.yaml", None);
    assert_eq!(steps(&world).await, ["ConfigMap/settings Pruned"]);
    assert_eq!(world.live("configmaps", "settings"), None);
    world.push(MAIN, "team/namespace.yaml", None);
    assert_eq!(steps(&world).await, ["Namespace/team Kept"]);
    assert!(world.live("namespaces", "team").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_made_anew_is_not_deleted() {
    let world = World::paused(policy::Config::default()).await;
    sync(&world).await;
    let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(
        world::client(world.sandbox.url(), world.sandbox.admin_token()),
        "team",
    );
    api.delete("settings", &Default::default()).await.unwrap();
    let mine = serde_json::from_value(json!({"metadata": {"name": "settings"}})).unwrap();
    api.create(&Default::default(), &mine).await.unwrap();
    world.push(MAIN, "team/settings.yaml", None);
    assert_eq!(steps(&world).await, ["ConfigMap/settings Kept"]);
    assert!(world.live("configmaps", "settings").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_repository_deletes_nothing() {
    let world = World::paused(policy::Config::default()).await;
    sync(&world).await;
    for file in ["namespace", "settings", "web"] {
        world.push(MAIN, &format!("team/{file}.yaml"), None);
    }
    assert_eq!(
        steps(&world).await,
        ["Deployment/web Kept", "ConfigMap/settings Kept", "Namespace/team Kept"]
    );
    assert!(world.live("deployments.apps", "web").is_some());
    assert!(world.live("configmaps", "settings").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_others_are_left_to_them() {
    let world = World::paused(policy::Config::default()).await;
    sync(&world).await;
    world.edit(json!({"spec": {"replicas": 7}})).await;
    world.push(MAIN, "team/web.yaml", Some(WEB.replace("replicas: 2", "replicas: 4")));
    assert_eq!(steps(&world).await, ["Deployment/web Failed"]);
    assert_eq!(world.replicas(), json!(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_parse_stops_only_its_unit() {
    let world = World::paused(policy::Config::default()).await;
    sync(&world).await;
    let broken = "apiVersion: v1\nkind: [ConfigMap\n";
    world.push(MAIN, "team/settings.yaml", Some(broken.into()));
    sync(&world).await;
    assert!(world.live("configmaps", "settings").is_some(), "what is unknown is not deleted");
    let error = world.propose("alice", scale(3)).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Invalid(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_away_is_told_and_nothing_is_written() {
    let world = World::paused(policy::Config::default()).await;
    sync(&world).await;
    // nobody listens on port 1
    let away = delivery_at(
        "http://127.0.0.1:1",
        "none",
        &world.repository,
        std::sync::Arc::new(world.store.clone()),
        policy::Config::default(),
    );
    let request = world::request("scale", vec![scale(5)]);
    let error = away.propose(&world::actor("alice"), request).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Unavailable(_)), "{error}");
    let change = world.propose("alice", scale(5)).await.unwrap();
    let error = away.approve(&world::actor("bob"), &change.id, None, None).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Unavailable(_)), "{error}");
    assert_eq!(world.delivery.change(&change.id).await.unwrap().state, ChangeState::Proposed);
}
