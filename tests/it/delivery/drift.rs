//! What happens to the world between the steps of a change: between its approval and its merge, and between its merge and its
//! apply. Drift before the approval is in `changes`.

use async_trait::async_trait;
use kubemate::{
    delivery::{Delivery, DeliveryParts},
    domain::{Change, ChangeState, Operation},
    forge::{Forge, ForgeError, Merge, NewReview, Review, local::LocalForge},
    policy, reconcile,
    worktree::MAIN,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::world::{WEB, World, client, edit_web, scale};

/// A world whose loop does not run yet, with a change that is approved.
async fn approved() -> (World, Change) {
    let world = World::paused(policy::Config::default()).await;
    world.delivery.sync_main(&CancellationToken::new()).await.unwrap();
    world.sandbox.settle().await;
    let change = world.propose("alice", scale(5)).await.unwrap();
    let change = world.approve("bob", &change.id).await.unwrap();
    assert_eq!(change.state, ChangeState::Approved);
    (world, change)
}

/// The approval is void: nothing is merged, nothing applied, and the reason is told.
async fn is_void(mut world: World, change: &Change, reason: &str) {
    let main = world.repository.head(MAIN).unwrap();
    world.run();
    let end = world.end(&change.id).await;
    assert_eq!((end.state, &end.merged), (ChangeState::Stale, &None));
    assert!(end.message.as_ref().unwrap().contains(reason), "{:?}", end.message);
    assert_eq!(world.repository.head(MAIN).unwrap(), main);
    let audit = world.audit(&change.id).await;
    let expected = ["alice request", "alice propose", "bob approve", "kubemate stale"];
    assert_eq!(audit, expected);
    assert!(world.approve("carol", &change.id).await.unwrap_err().to_string().contains(reason));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_drift_between_approval_and_merge_voids_the_approval() {
    let (world, change) = approved().await;
    world.edit(json!({"spec": {"replicas": 3}})).await;
    is_void(world, &change, "live objects were changed after the review").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_between_approval_and_merge_voids_the_approval() {
    let (world, change) = approved().await;
    let pushed = WEB.replace("replicas: 2", "replicas: 50");
    world.push(change.branch.as_ref().unwrap(), "team/web.yaml", Some(pushed));
    is_void(world, &change, "pushed to its review branch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_branch_moving_between_approval_and_merge_voids_the_approval() {
    let (world, change) = approved().await;
    let other = WEB.replace("replicas: 2 ", "replicas: 4 ");
    world.push(MAIN, "team/web.yaml", Some(other));
    is_void(world, &change, "same lines").await;
}

/// Merged is merged; but nothing is taken from whoever edited the object meanwhile, since no plan showed it. The words say the
/// way out, and it is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_drift_between_merge_and_apply_is_not_overwritten() {
    let (mut world, change) = approved().await;
    world.delivery = Delivery::new(DeliveryParts {
        store: Arc::new(world.store.clone()),
        forge: Arc::new(EditedAfterMerge {
            inner: LocalForge::new(world.repository.clone()),
            cluster: (world.sandbox.url().to_owned(), world.sandbox.admin_token().to_owned()),
            edit: json!({"spec": {"replicas": 3}}),
        }),
        repository: world.repository.clone(),
        client: client(world.sandbox.url(), world.sandbox.admin_token()),
        policy: policy::Config::default(),
        config: reconcile::Config { health_timeout_seconds: 50, ..Default::default() },
    });
    world.run();
    let end = world.end(&change.id).await;
    assert_eq!(end.state, ChangeState::Failed);
    let message = end.message.as_ref().unwrap();
    assert!(
        message.contains("kubectl-edit: .spec.replicas") && message.contains("undo"),
        "{message}"
    );
    assert_eq!(world.replicas(), json!(3));
    assert_eq!(world.file("team/web.yaml"), WEB.replace("replicas: 2", "replicas: 5"));

    let undo = Operation::Undo { change: change.id.clone() };
    let undo = world.propose("alice", undo).await.unwrap();
    let plan = undo.plan.as_ref().unwrap();
    assert_eq!(plan.objects[0].takeovers, ["kubectl-edit: .spec.replicas"]);
    // this merge, too, is followed by the same edit, which is no drift: it changes nothing
    world.approve("bob", &undo.id).await.unwrap();
    let undone = world.end(&undo.id).await;
    assert_eq!(undone.state, ChangeState::Healthy, "{:?}", undone.message);
    assert_eq!(world.replicas(), json!(2));
    assert_eq!(world.file("team/web.yaml"), WEB);
}

/// Somebody edits the live object right after each merge.
struct EditedAfterMerge {
    inner: LocalForge,
    /// URL and token.
    cluster: (String, String),
    edit: Value,
}

#[async_trait]
impl Forge for EditedAfterMerge {
    async fn open_review(&self, review: &NewReview) -> Result<Review, ForgeError> {
        self.inner.open_review(review).await
    }
    async fn review(&self, branch: &str) -> Result<Review, ForgeError> {
        self.inner.review(branch).await
    }
    async fn merge(&self, merge: &Merge) -> Result<String, ForgeError> {
        let merged = self.inner.merge(merge).await;
        edit_web(client(&self.cluster.0, &self.cluster.1), self.edit.clone()).await;
        merged
    }
    async fn close(&self, branch: &str, reason: &str) -> Result<(), ForgeError> {
        self.inner.close(branch, reason).await
    }
    async fn main(&self) -> Result<String, ForgeError> {
        self.inner.main().await
    }
}
