//! Fetching model files from loopback servers: resuming, falling through, wrong content, several at once.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response};
use axum::routing::get;
use kubemate::model::download::{FetchError, KnownModel, Source, fetch, known, verified};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CONTENT: &[u8] = b"these are the weights of a very small model";

/// A hub; it keeps the ranges it was asked for.
struct Hub {
    url: String,
    ranges: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Hub {
    /// Serves `content` from the asked range on.
    async fn start(content: &'static [u8]) -> Self {
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&ranges);
        let handler = move |headers: HeaderMap| async move {
            let range = headers["range"].to_str().unwrap().to_owned();
            let from: usize =
                range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
            asked.lock().unwrap().push(range);
            let rest = Body::from(Bytes::from_static(&content[from.min(content.len())..]));
            Response::builder().status(206).body(rest).unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/model", listener.local_addr().unwrap());
        let app = axum::Router::new().route("/model", get(handler));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, ranges, _serving: serving }
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

fn model(urls: &[&str]) -> KnownModel {
    KnownModel {
        name: "small".into(),
        file: "small.gguf".into(),
        size: CONTENT.len() as u64,
        sha256: hex::encode(Sha256::digest(CONTENT)),
        licence: "Apache-2.0".into(),
        sources: urls.iter().map(|url| Source::Url((*url).to_owned())).collect(),
    }
}

async fn fetched(model: &KnownModel, folder: &Path) -> Result<Vec<u8>, FetchError> {
    let path = fetch(model, folder, &|_| {}, &CancellationToken::new()).await?;
    Ok(fs::read(path).unwrap())
}

#[tokio::test]
async fn the_next_source_goes_on_where_one_broke_off() {
    let hub = Hub::start(CONTENT).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".small.gguf.part"), &CONTENT[..10]).unwrap();
    let model = model(&["http://127.0.0.1:1/model", &hub.url]);
    assert_eq!(fetched(&model, folder.path()).await.unwrap(), CONTENT);
    assert_eq!(hub.ranges(), ["bytes=10-"]);

    // verified once, it is not fetched again
    assert_eq!(fetched(&model, folder.path()).await.unwrap(), CONTENT);
    assert_eq!(hub.ranges().len(), 1);
}

#[tokio::test]
async fn wrong_content_is_not_taken() {
    let wrong = Hub::start(b"these are the weights of a very evil! model").await;
    let right = Hub::start(CONTENT).await;
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&model(&[&wrong.url]), folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("its sha256 is") && error.contains("by hand"), "{error}");
    assert!(!folder.path().join("small.gguf").exists());
    assert_eq!(fetched(&model(&[&wrong.url, &right.url]), folder.path()).await.unwrap(), CONTENT);
    assert_eq!(right.ranges(), ["bytes=0-"], "nothing of the wrong file was kept");
}

#[tokio::test]
async fn a_file_that_was_changed_afterwards_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(CONTENT).await;
    let model = model(&[&hub.url]);
    fetched(&model, folder.path()).await.unwrap();
    fs::write(folder.path().join("small.gguf"), b"something else").unwrap();
    let error = fetched(&model, folder.path()).await.unwrap_err();
    assert!(format!("{error}").contains("replace it"), "{error}");
}

#[test]
fn a_file_that_is_not_the_model_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(&[]);
    let path = folder.path().join("small.gguf");
    let wrong = CONTENT.to_ascii_uppercase();
    for (content, says) in [(&wrong[..], "its sha256 is "), (&CONTENT[1..], "it has 42 bytes")] {
        fs::write(&path, content).unwrap();
        let error = verified(&model, &path).unwrap_err().to_string();
        for part in ["small.gguf", says, "and should", "remove it, or replace it"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    fs::write(&path, CONTENT).unwrap();
    verified(&model, &path).unwrap();
}

#[tokio::test]
async fn without_a_network_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(&["http://127.0.0.1:1/model"]);
    let error = fetched(&model, folder.path()).await.unwrap_err().to_string();
    let place = folder.path().join("small.gguf");
    for part in ["http://127.0.0.1:1/model", &model.sha256, place.to_str().unwrap()] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn two_at_once_fetch_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(CONTENT).await;
    let model = model(&[&hub.url]);
    let (a, b) = tokio::join!(fetched(&model, folder.path()), fetched(&model, folder.path()));
    assert_eq!((a.unwrap(), b.unwrap()), (CONTENT.to_vec(), CONTENT.to_vec()));
    assert_eq!(hub.ranges().len(), 1);
}

#[tokio::test]
async fn cancelling_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(CONTENT).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result = fetch(&model(&[&hub.url]), folder.path(), &|_| {}, &cancel).await;
    assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
}

#[test]
fn the_table_of_models_is_sound() {
    assert!(known().iter().any(|model| model.name == "qwen2.5-coder-1.5b"));
    for model in known() {
        assert!(model.sha256.len() == 64 && model.size > 1 << 20, "{model:?}");
        assert!(model.file.ends_with(".gguf") || model.file.ends_with(".whl"), "{model:?}");
        assert!(!model.sources.is_empty() && !model.licence.is_empty(), "{model:?}");
    }
}
