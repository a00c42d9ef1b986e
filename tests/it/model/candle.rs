//! The model in the process, on tiny models with random weights: whatever the weights are, calls are valid, prefixes
//! do not change results, text cannot become a special token, and broken files say what is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kubemate::model::candle::{Candle, Config};
use kubemate::model::{ChatRequest, ChatResponse, ChatRole, Model as _, ModelError};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::tiny::Tiny;
use super::{say, tools, wants_call, wants_text};

/// A folder with a model file; each adapter in it shares the cache.
struct Here {
    folder: TempDir,
    file: PathBuf,
}

impl Here {
    fn with(tiny: &Tiny) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tiny.gguf");
        tiny.write(&file);
        Self { folder, file }
    }

    fn adapter(&self) -> Candle {
        self.adapter_with(|_| {})
    }

    fn adapter_with(&self, change: impl FnOnce(&mut Config)) -> Candle {
        let mut config =
            Config { name: "tiny".into(), file: Some(self.file.clone()), ..Config::default() };
        change(&mut config);
        Candle::new(config, self.folder.path()).unwrap()
    }

    fn stored_prefixes(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("prefixes");
        fs::read_dir(folder).map(|d| d.map(|e| e.unwrap().path()).collect()).unwrap_or_default()
    }
}

async fn ask(model: &Candle, request: ChatRequest) -> Result<ChatResponse, ModelError> {
    model.chat(request, None, CancellationToken::new()).await
}

#[tokio::test]
async fn whatever_the_weights_a_call_is_valid() {
    for (architecture, seed) in [("qwen2", 1), ("qwen2", 2), ("llama", 3), ("llama", 4)] {
        let here = Here::with(&Tiny { architecture, seed, ..Tiny::default() });
        let model = here.adapter();
        for (said, temperature) in
            [("scale api to 5", 0.0), ("重启 web", 0.0), ("}}}} \"name\": \"rm\"", 1.5), ("", 1.5)]
        {
            let request = ChatRequest { temperature, ..wants_call(said) };
            let response = ask(&model, request)
                .await
                .unwrap_or_else(|e| panic!("{architecture} {seed} {said}: {e}"));
            let call = response.call.unwrap();
            let tool =
                tools().into_iter().find(|tool| tool.name == call.name).expect("an offered tool");
            assert!(jsonschema::is_valid(&tool.parameters, &call.arguments), "{call:?}");
            assert!(response.usage.output_tokens > 0 && response.model == "candle:tiny");
        }
    }
}

#[tokio::test]
async fn only_what_is_allowed_can_be_called_and_the_prompt_stays_the_same() {
    let here = Here::with(&Tiny::default());
    let model = here.adapter();
    let mut prompts = Vec::new();
    for allowed in [vec![], tools()[..1].to_vec(), tools()[1..].to_vec()] {
        let names: Vec<String> = allowed.iter().map(|tool| tool.name.clone()).collect();
        let response =
            ask(&model, ChatRequest { allowed, ..wants_call("scale api") }).await.unwrap();
        let call = response.call.unwrap();
        assert!(names.is_empty() || names.contains(&call.name), "{names:?}: {call:?}");
        prompts.push(response.usage.input_tokens);
    }
    prompts.dedup();
    assert_eq!(prompts.len(), 1);
}

#[tokio::test]
async fn text_comes_in_the_pieces_of_the_answer_and_stops_at_the_limit() {
    let here = Here::with(&Tiny::default());
    let (tokens, mut heard) = mpsc::channel(4);
    let model = here.adapter();
    let asked = model.chat(wants_text("greet me"), Some(tokens), CancellationToken::new());
    let listening = async {
        let mut text = String::new();
        while let Some(piece) = heard.recv().await {
            text.push_str(&piece);
        }
        text
    };
    let (response, pieces) = tokio::join!(asked, listening);
    let response = response.unwrap();
    assert_eq!(response.usage.output_tokens, 100);
    assert_eq!(response.text, pieces);
    assert!(!pieces.is_empty());
}

/// A conversation with a long system prompt.
fn conversation(said: &[&str]) -> ChatRequest {
    let mut request = wants_text("");
    request.messages[0].content = "You operate a cluster. ".repeat(10);
    request.messages.truncate(1);
    request.messages.extend(said.iter().map(|text| say(ChatRole::User, text)));
    ChatRequest { max_tokens: 24, ..request }
}

#[tokio::test]
async fn a_known_prefix_gives_the_same_answer() {
    let here = Here::with(&Tiny::default());
    let fresh = ask(&here.adapter_with(|c| c.keep_prefixes = false), conversation(&["and web?"]))
        .await
        .unwrap();
    assert_eq!(fresh.usage.cached_tokens, 0);
    assert_eq!(here.stored_prefixes().len(), 0);

    let warm = here.adapter();
    let other = ask(&warm, conversation(&["what about api?"])).await.unwrap();
    assert_ne!(other.text, fresh.text, "the answer depends on the question");
    let again = ask(&warm, conversation(&["and web?"])).await.unwrap();
    assert!(again.usage.cached_tokens > 200, "{:?}", again.usage);
    assert_eq!(again.text, fresh.text);
    assert_eq!(here.stored_prefixes().len(), 1);

    let restarted = ask(&here.adapter(), conversation(&["and web?"])).await.unwrap();
    assert!(restarted.usage.cached_tokens > 200, "{:?}", restarted.usage);
    assert_eq!(restarted.text, fresh.text);
}

#[tokio::test]
async fn a_damaged_stored_prefix_is_ignored() {
    let here = Here::with(&Tiny::default());
    let first = ask(&here.adapter(), conversation(&["x"])).await.unwrap();
    for damage in [
        b"short".to_vec(),
        vec![7; fs::metadata(&here.stored_prefixes()[0]).unwrap().len() as usize],
    ] {
        fs::write(&here.stored_prefixes()[0], damage).unwrap();
        let second = ask(&here.adapter(), conversation(&["x"])).await.unwrap();
        assert_eq!((second.usage.cached_tokens, second.text), (0, first.text.clone()));
    }
}

#[tokio::test]
async fn what_people_say_never_becomes_a_special_token() {
    let here = Here::with(&Tiny::default());
    let model = here.adapter();
    let mut counts = Vec::new();
    for said in ["<|im_end|>", "0123456789", "<|im_start|>", "012345678901"] {
        let request = ChatRequest { max_tokens: 1, ..wants_text(said) };
        counts.push(ask(&model, request).await.unwrap().usage.input_tokens);
    }
    // in this vocabulary every character is one token, so an injected token would be seen in the count
    assert_eq!(counts[0], counts[1]);
    assert_eq!(counts[2], counts[3]);
}

#[tokio::test]
async fn cancelling_stops_soon_and_the_next_request_is_answered() {
    let here = Here::with(&Tiny { context: 1 << 20, ..Tiny::default() });
    let model = here.adapter_with(|c| c.context = 1 << 20);
    let cancel = CancellationToken::new();
    let (tokens, mut heard) = mpsc::channel(1);
    let endless = ChatRequest { max_tokens: 1_000_000, ..wants_text("never end") };
    let asked = model.chat(endless, Some(tokens), cancel.clone());
    let stop = async {
        let _first = heard.recv().await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(asked, stop);
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");
    let next =
        tokio::time::timeout(Duration::from_secs(20), ask(&model, wants_call("scale api"))).await;
    assert!(next.expect("the thread is free again").unwrap().call.is_some());
    let result = model.chat(wants_text("x"), None, cancel).await;
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");
}

/// An answer that does not end by itself; it has begun when this returns.
#[expect(clippy::disallowed_methods, reason = "the test holds the handle and awaits it")]
async fn endless(
    model: &Arc<Candle>,
) -> (CancellationToken, JoinHandle<Result<ChatResponse, ModelError>>) {
    let cancel = CancellationToken::new();
    let (tokens, mut heard) = mpsc::channel(1);
    let (asked, stop) = (Arc::clone(model), cancel.clone());
    let request = ChatRequest { max_tokens: 1_000_000, ..wants_text("never end") };
    let answer = tokio::spawn(async move { asked.chat(request, Some(tokens), stop).await });
    heard.recv().await.expect("it begins");
    (cancel, answer)
}

#[tokio::test]
async fn long_answers_do_not_keep_others_waiting() {
    let here = Here::with(&Tiny { context: 1 << 20, ..Tiny::default() });
    let model = Arc::new(here.adapter_with(|c| c.context = 1 << 20));
    let (cancel, long) = endless(&model).await;
    for _ in 0..2 {
        let request = ChatRequest { max_tokens: 4, ..wants_text("greet me") };
        let between = tokio::time::timeout(Duration::from_secs(60), ask(&model, request)).await;
        let response = between.expect("it takes turns with the long one").unwrap();
        assert_eq!(response.usage.output_tokens, 4);
    }
    assert!(!long.is_finished());
    cancel.cancel();
    assert!(matches!(long.await.unwrap(), Err(ModelError::Cancelled)));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test holds the handles and awaits them")]
async fn more_requests_than_may_wait_are_turned_away() {
    let here = Here::with(&Tiny { context: 1 << 20, ..Tiny::default() });
    let model = Arc::new(here.adapter_with(|c| c.context = 1 << 20));
    let mut long = Vec::new();
    for _ in 0..4 {
        long.push(endless(&model).await);
    }
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let model = Arc::clone(&model);
            tokio::spawn(async move { ask(&model, wants_call("scale api")).await })
        })
        .collect();
    let mut results = futures::stream::FuturesUnordered::from_iter(waiting);
    for _ in 0..8 {
        let turned_away = results.next().await.unwrap().unwrap().unwrap_err().to_string();
        assert!(turned_away.contains("32 requests are waiting"), "{turned_away}");
    }
    results.iter().for_each(JoinHandle::abort);
    long.iter().for_each(|(cancel, _)| cancel.cancel());
}

#[tokio::test]
async fn a_conversation_goes_on_from_where_it_stands() {
    let here = Here::with(&Tiny::default());
    let model = here.adapter();
    let first = "what about api? ".repeat(8);
    let begun = ask(&model, conversation(&[&first])).await.unwrap();
    for other in ["web", "db", "cache"] {
        ask(&model, conversation(&[&format!("{other}? ").repeat(20)])).await.unwrap();
    }
    let mut further = conversation(&[&first]);
    further.messages.push(say(ChatRole::Assistant, &begun.text));
    further.messages.push(say(ChatRole::User, "and now?"));
    let known = ask(&model, further).await.unwrap().usage.cached_tokens;
    assert!(known >= begun.usage.input_tokens, "{known} of {:?}", begun.usage);
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_too_long() {
    let here = Here::with(&Tiny::default());
    let model = here.adapter_with(|c| c.context = 64);
    let error = ask(&model, wants_text(&"x".repeat(100))).await.unwrap_err();
    assert!(matches!(error, ModelError::TooLong { tokens: 100.., limit: 64 }), "{error}");
    let far = here.adapter_with(|c| c.context = 1 << 30);
    let error = ask(&far, wants_text(&"x".repeat(5000))).await.unwrap_err();
    assert!(matches!(error, ModelError::TooLong { limit: 4096, .. }), "the model's own: {error}");
    let unfinished = ask(
        &model,
        ChatRequest { messages: vec![say(ChatRole::User, "x")], max_tokens: 3, ..wants_call("x") },
    )
    .await;
    let error = unfinished.unwrap_err();
    assert!(matches!(error, ModelError::TooLong { .. } | ModelError::Malformed { .. }), "{error}");
}

async fn error_of(here: &Here) -> String {
    let model = here.adapter();
    let error = ask(&model, wants_text("x")).await.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable(_)), "{error:?}");
    assert!(model.health().await.is_err(), "not healthy after: {error}");
    error.to_string()
}

#[tokio::test]
async fn broken_files_say_what_is_wrong() {
    let whole = Here::with(&Tiny::default());
    let bytes = fs::read(&whole.file).unwrap();
    let mut counts = bytes.clone();
    counts[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    for (content, says) in [
        (b"hello, I am a text file".to_vec(), "not a GGUF file"),
        (Vec::new(), "not a GGUF file"),
        (bytes[..bytes.len() / 2].to_vec(), "truncated"),
        (bytes[..100].to_vec(), "damaged"),
        (counts, "damaged"),
    ] {
        fs::write(&whole.file, content).unwrap();
        let error = error_of(&whole).await;
        assert!(error.contains(says) && error.contains("tiny.gguf"), "{says}: {error}");
    }
    fs::remove_file(&whole.file).unwrap();
    assert!(error_of(&whole).await.contains("is not there"));
    let unknown = Here::with(&Tiny { architecture: "mamba", ..Tiny::default() });
    assert!(error_of(&unknown).await.contains("architecture `mamba`"));
    for without in ["blk.1.ffn_up.weight", "token_embd.weight", "blk.0.attn_q.weight"] {
        let error =
            error_of(&Here::with(&Tiny { without: Some(without), ..Tiny::default() })).await;
        assert!(error.contains("tensor"), "{error}");
    }
}

#[tokio::test]
async fn a_file_placed_by_hand_must_be_the_right_one() {
    let cache = tempfile::tempdir().unwrap();
    place(cache.path(), b"not the model");
    let model = Candle::new(Config::default(), cache.path()).unwrap();
    let error = ask(&model, wants_text("x")).await.unwrap_err().to_string();
    assert!(error.contains("has 13 bytes and should have 1117320768"), "{error}");
    assert!(
        Candle::new(Config { name: "gpt-7".into(), ..Config::default() }, cache.path()).is_err()
    );
}

#[tokio::test]
async fn a_model_that_is_not_here_and_may_not_be_fetched_says_how_to_place_it() {
    let cache = tempfile::tempdir().unwrap();
    let model = Candle::new(Config { fetch: false, ..Config::default() }, cache.path()).unwrap();
    for error in
        [model.health().await.unwrap_err(), ask(&model, wants_text("x")).await.unwrap_err()]
    {
        let text = error.to_string();
        assert!(text.contains("sha256 cc324af0") && text.contains("by hand"), "{text}");
    }
}

fn place(cache: &Path, content: &[u8]) {
    let folder = cache.join("models");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"), content).unwrap();
}
