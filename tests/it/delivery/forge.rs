//! The contract every forge keeps, run on the local one.

use kubemate::{
    forge::{Forge, ForgeError, Merge, NewReview, ReviewState, local::LocalForge},
    gitops::tree::FileChange,
    worktree::{Author, NewCommit, Repository},
};

#[tokio::test]
async fn the_local_forge_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("a.yaml"), "one: 1\n\n\n\ntwo: 2\n").unwrap();
    let repository = Repository::open_or_init(&folder.path().join("bare.git")).unwrap();
    repository.import(&files, "Import", &Author::kubemate()).unwrap();
    let forge = LocalForge::new(repository.clone());
    contract(&forge, &repository).await;
}

async fn contract(forge: &dyn Forge, repository: &Repository) {
    merged_once(forge, repository).await;
    moved(forge, repository).await;
    closed(forge, repository).await;
    merged_behind_our_back(forge, repository).await;
    assert!(matches!(forge.review("kubemate/none").await, Err(ForgeError::NotFound(_))));
}

async fn merged_once(forge: &dyn Forge, repository: &Repository) {
    let main = forge.main().await.unwrap();
    let review = proposed(repository, &main, "kubemate/1", "one: 1", "one: 10");
    let opened = forge.open_review(&review).await.unwrap();
    assert_eq!(opened.state, ReviewState::Open);
    assert_eq!(forge.open_review(&review).await.unwrap(), opened, "opening twice is opening");
    let commit = forge.merge(&merge(&review)).await.unwrap();
    assert_eq!(forge.merge(&merge(&review)).await.unwrap(), commit, "merging twice is merging");
    assert_eq!(forge.main().await.unwrap(), commit);
    assert_eq!(forge.review(&review.branch).await.unwrap().state, ReviewState::Merged { commit });
}

async fn moved(forge: &dyn Forge, repository: &Repository) {
    let main = forge.main().await.unwrap();
    let review = proposed(repository, &main, "kubemate/2", "one: 10", "one: 11");
    forge.open_review(&review).await.unwrap();
    let pushed = proposed(repository, &review.head, "kubemate/2", "one: 11", "one: 99");
    assert_eq!(forge.review(&review.branch).await.unwrap().head, pushed.head);
    let Err(ForgeError::HeadMoved { found, .. }) = forge.merge(&merge(&review)).await else {
        panic!("a moved branch must not be merged")
    };
    assert_eq!(found, pushed.head);
    assert_eq!(forge.main().await.unwrap(), main);
}

async fn closed(forge: &dyn Forge, repository: &Repository) {
    let main = forge.main().await.unwrap();
    let review = proposed(repository, &main, "kubemate/3", "one: 10", "one: 12");
    forge.open_review(&review).await.unwrap();
    forge.close(&review.branch, "not now").await.unwrap();
    forge.close(&review.branch, "again").await.unwrap();
    let state = forge.review(&review.branch).await.unwrap().state;
    assert_eq!(state, ReviewState::Closed { reason: "not now".into() });
    assert!(matches!(forge.merge(&merge(&review)).await, Err(ForgeError::Closed(_))));
    assert_eq!(forge.main().await.unwrap(), main);
}

async fn merged_behind_our_back(forge: &dyn Forge, repository: &Repository) {
    let main = forge.main().await.unwrap();
    let review = proposed(repository, &main, "kubemate/4", "two: 2", "two: 20");
    forge.open_review(&review).await.unwrap();
    let by_hand = kubemate::worktree::history::NewMerge {
        head: review.head.clone(),
        author: Author::operator("carol"),
        message: "Merge by hand".into(),
    };
    let commit = repository.merge(&by_hand).unwrap();
    let state = forge.review(&review.branch).await.unwrap().state;
    assert_eq!(state, ReviewState::Merged { commit: commit.clone() });
    assert_eq!(forge.merge(&merge(&review)).await.unwrap(), commit);

    let late = proposed(repository, &main, "kubemate/5", "two: 2", "two: 21");
    forge.open_review(&late).await.unwrap();
    let Err(ForgeError::Conflicts(paths)) = forge.merge(&merge(&late)).await else {
        panic!("a conflict must be told")
    };
    assert_eq!(paths, ["a.yaml"]);
}

fn merge(review: &NewReview) -> Merge {
    Merge {
        branch: review.branch.clone(),
        head: review.head.clone(),
        by: "bob".into(),
        message: "Merge".into(),
    }
}

fn proposed(
    repository: &Repository,
    parent: &str,
    branch: &str,
    from: &str,
    to: &str,
) -> NewReview {
    let before = repository.tree(parent).unwrap().text("a.yaml").unwrap().to_owned();
    let after = before.replace(from, to);
    assert_ne!(before, after);
    let commit = NewCommit {
        branch: branch.into(),
        parent: parent.into(),
        files: vec![FileChange { path: "a.yaml".into(), before: Some(before), after: Some(after) }],
        author: Author::operator("alice"),
        message: "Change".into(),
    };
    let head = repository.commit(&commit).unwrap();
    NewReview { branch: branch.into(), head, title: "Change".into(), body: String::new() }
}
