//! A repository in a temp dir, from import to merge and back.

use super::{history::NewMerge, *};

struct Fixture {
    _folder: tempfile::TempDir,
    repository: Repository,
    first: String,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a temp dir");
    let files = folder.path().join("files");
    std::fs::create_dir_all(files.join("prod")).expect("is created");
    std::fs::write(files.join("prod/a.yaml"), "one: 1\ntwo: 2\nthree: 3\nfour: 4\n")
        .expect("is written");
    std::fs::write(files.join("prod/b.yaml"), "b: 1\n").expect("is written");
    let repository = Repository::open_or_init(&folder.path().join("bare.git")).expect("opens");
    let first = repository.import(&files, "Import", &Author::kubemate()).expect("imports");
    Fixture { _folder: folder, repository, first }
}

impl Fixture {
    fn change(&self, branch: &str, parent: &str, from: &str, to: &str) -> String {
        let path = "prod/a.yaml";
        let tree = self.repository.tree(parent).expect("is read");
        let before = tree.text(path).expect("is text").to_owned();
        let after = before.replace(from, to);
        let files =
            vec![FileChange { path: path.to_owned(), before: Some(before), after: Some(after) }];
        self.repository
            .commit(&NewCommit {
                branch: branch.to_owned(),
                parent: parent.to_owned(),
                files,
                author: Author::operator("alice"),
                message: format!("Set {to}\n\nRequested-by: alice\nChange-Id: c-1\n"),
            })
            .expect("commits")
    }

    fn merge(&self, head: &str) -> Result<String, WorktreeError> {
        self.repository.merge(&NewMerge {
            head: head.to_owned(),
            author: Author::operator("bob"),
            message: "Merge".to_owned(),
        })
    }

    fn text(&self, path: &str) -> String {
        let head = self.repository.head(MAIN).expect("is read").expect("is there");
        self.repository.tree(&head).expect("is read").text(path).expect("is text").to_owned()
    }
}

#[test]
fn importing_twice_keeps_the_first_commit() {
    let f = fixture();
    let again = f.repository.import(Path::new("/nonexistent"), "Again", &Author::kubemate());
    assert_eq!(again.expect("is left alone"), f.first);
    let tree = f.repository.tree(&f.first).expect("is read");
    assert_eq!(tree.files.keys().collect::<Vec<_>>(), ["prod/a.yaml", "prod/b.yaml"]);
    assert_eq!(f.repository.tree(&f.first[..8]).expect("short hashes work").files, tree.files);
    assert!(matches!(f.repository.tree("ffffffff"), Err(WorktreeError::NotFound(_))));
}

#[test]
fn merging_keeps_both_sides_and_is_idempotent() {
    let f = fixture();
    let one = f.change("review/1", &f.first, "one: 1", "one: 10");
    let two = f.change("review/2", &f.first, "four: 4", "four: 40");
    let merged = f.merge(&one).expect("merges");
    assert_eq!(f.merge(&one).expect("is merged already"), merged);
    f.merge(&two).expect("merges");
    assert_eq!(f.merge(&one).expect("is merged already"), merged);
    assert_eq!(f.text("prod/a.yaml"), "one: 10\ntwo: 2\nthree: 3\nfour: 40\n");
    let head = f.repository.head(MAIN).expect("is read").expect("is there");
    let log = f.repository.log(&head, &["prod/a.yaml"], 0).expect("is read");
    assert_eq!(log.len(), 3);
    assert_eq!(f.repository.log(&head, &["prod/b.yaml"], 0).expect("is read").len(), 1);
    let branch = f.repository.log(&one, &[], 1).expect("is read");
    assert_eq!(branch[0].trailers[1], ("Change-Id".to_owned(), "c-1".to_owned()));
}

#[test]
fn conflicting_merges_are_refused_with_the_paths() {
    let f = fixture();
    let one = f.change("review/1", &f.first, "two: 2", "two: 20");
    let two = f.change("review/2", &f.first, "two: 2", "two: 21");
    f.merge(&one).expect("merges");
    let Err(WorktreeError::Conflicts(paths)) = f.merge(&two) else { panic!("must conflict") };
    assert_eq!(paths, ["prod/a.yaml"]);
    assert_eq!(f.text("prod/a.yaml"), "one: 1\ntwo: 20\nthree: 3\nfour: 4\n");
}

#[test]
fn taking_back_a_merge_keeps_what_came_later() {
    let f = fixture();
    let one = f.change("review/1", &f.first, "one: 1", "one: 10");
    let merged = f.merge(&one).expect("merges");
    let two = f.change("review/2", &merged, "four: 4", "four: 40");
    let head = f.merge(&two).expect("merges");
    let parent = f.repository.parent(&merged).expect("has a parent");
    let files = f.repository.take_back(&parent, &merged, &head).expect("can be undone");
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].after.as_deref(), Some("one: 1\ntwo: 2\nthree: 3\nfour: 40\n"));
}

#[test]
fn a_commit_on_other_content_is_refused() {
    let f = fixture();
    let files = vec![FileChange {
        path: "prod/b.yaml".to_owned(),
        before: Some("b: 9\n".to_owned()),
        after: Some("b: 2\n".to_owned()),
    }];
    let commit = NewCommit {
        branch: "review/1".to_owned(),
        parent: f.first.clone(),
        files,
        author: Author::operator("a <b>\n"),
        message: "x".to_owned(),
    };
    assert!(matches!(f.repository.commit(&commit), Err(WorktreeError::Outdated(_))));
    assert_eq!(f.repository.head("review/1").expect("is read"), None);
}

#[test]
fn locks_that_a_killed_process_left_behind_are_removed() {
    let fixture = fixture();
    let lock = |name: &str| {
        let path = fixture.repository.path().join(format!("{name}.lock"));
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("is created");
        std::fs::write(&path, "").expect("is written");
        path
    };
    let locks = ["refs/heads/kubemate/c-1", "refs/heads/main"].map(lock);
    let head = fixture.change("kubemate/c-1", &fixture.first, "two: 2", "two: 22");
    let merge = NewMerge {
        head: head.clone(),
        author: Author::operator("bob"),
        message: "Merge c-1".to_owned(),
    };
    let merged = fixture.repository.merge(&merge).expect("merges");
    assert_eq!(fixture.repository.head(MAIN).expect("is read"), Some(merged));
    let again = lock("refs/heads/kubemate/c-1");
    fixture.repository.delete_branch("kubemate/c-1", &head).expect("deletes");
    assert!(locks.iter().chain([&again]).all(|lock| !lock.exists()));
}
