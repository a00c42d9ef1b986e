//! `make bench ARGS=--peers`: the embedded model beside llama.cpp's server, on the same file, the same two threads and in the
//! same run, turn and turn about. Needs Python; the server comes from the Python package index into a folder of its own in the user's cache.
//! `make bench ARGS=--ollama` does the same beside Ollama.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use kubemate::{
    client::Client,
    config::Config,
    model::{
        ChatMessage, ChatRequest, ChatRole, Model, Output, ToolCall,
        candle::{self, Candle},
        download,
        scripted::{Scripted, Step},
    },
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) mod ollama;

const PACKAGE: &str = "xllamacpp==2026.10.11549";
const THREADS: usize = 2;
const CONTEXT: usize = 8192;
const ROUNDS: usize = 3;
const DECODED: u32 = 128;
/// What the requests for a call are made from.
const SAID: [&str; 6] = [
    "what should one think of checkout in prod?",
    "is there anything odd about payments lately?",
    "prod 的 checkout 最近怎么样?",
    "how would you judge the state of the web tier?",
    "帮我看看 catalog 有没有什么异常",
    "give me an impression of search in staging",
];

/// What was measured of ours and of theirs.
type Pair = (Vec<f64>, Vec<f64>);

/// Measures; `tell` hears each line of the table as soon as it is known.
pub(crate) async fn table(tell: impl Fn(&str)) -> anyhow::Result<()> {
    let config = Config::read(None)?;
    let requests = requests().await?;
    let ours = Ours::load(&config.cache).await?;
    let theirs = Theirs::start(&config.cache)?;
    tell("| what | kubemate | llama.cpp | ratio | unit |\n|---|---|---|---|---|");
    let row = |what, unit, pair| tell(&line(what, unit, pair));
    row("load", "s", (vec![ours.loaded], vec![theirs.loaded]));
    speed(&ours, async |said, most| theirs.text(said, most).await, &row).await?;
    let calls = calls(&ours, async |request| theirs.call(request).await, &requests).await?;
    row("request to tool call, prompt in the cache", "ms", calls);
    let memory = |pid| super::resident(pid).map(|mib| vec![mib]);
    let server = theirs.server.0.id();
    row("resident memory", "MiB", (memory(std::process::id())?, memory(server)?));
    row("decode, two busy processes", "tokens/s", busy(&ours, &theirs).await?);
    Ok(())
}

fn line(what: &str, unit: &str, (mut ours, mut theirs): Pair) -> String {
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let ratio = ours / theirs;
    format!("| {what} | {ours:.1} | {theirs:.1} | {ratio:.2} | {unit} |")
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Requests for a call as the agent really makes them, on the sample.
async fn requests() -> anyhow::Result<Vec<ChatRequest>> {
    let data = tempfile::tempdir()?;
    let script = Arc::new(Scripted::from_fn(|request| match request.output {
        Output::Text => Step { text: Some("see the evidence".to_owned()), ..Step::default() },
        Output::ToolCall => {
            let call = ToolCall { name: "problems".to_owned(), arguments: json!({}) };
            Step { call: Some(call), ..Step::default() }
        }
    }));
    let app = super::app(Some(script.clone()), data.path()).await?;
    let token = app.tokens().first().context("the sample has operators")?.token.clone();
    let client = Client::new(&format!("http://{}", app.address()), &token)?;
    let mut requests: Vec<ChatRequest> = Vec::new();
    for said in SAID {
        let before = script.requests().len();
        client.say(None, said, |_| ()).await?;
        let asked = script.requests().into_iter().skip(before);
        requests.extend(asked.filter(|request| request.output == Output::ToolCall).take(1));
    }
    app.shutdown().await?;
    ensure!(!requests.is_empty(), "no request reached the model");
    Ok(requests)
}

struct Ours {
    model: Candle,
    loaded: f64,
}

impl Ours {
    async fn load(cache: &Path) -> anyhow::Result<Self> {
        let config = candle::Config {
            threads: Some(THREADS),
            context: CONTEXT,
            fetch: false,
            keep_prefixes: false,
            ..candle::Config::default()
        };
        let model = Candle::new(config, cache)?;
        let begun = Instant::now();
        model.prepare()?;
        while let Some(stage) = model.progress() {
            let waited = begun.elapsed();
            ensure!(waited < Duration::from_secs(300), "the model does not load: {stage}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { model, loaded: begun.elapsed().as_secs_f64() })
    }

    /// Tokens of the prompt per second, and of the answer.
    async fn text(&self, said: &str, most: u32) -> anyhow::Result<(f64, f64)> {
        let messages = vec![ChatMessage { role: ChatRole::User, content: said.to_owned() }];
        let request = ChatRequest {
            messages,
            tools: Vec::new(),
            allowed: Vec::new(),
            output: Output::Text,
            max_tokens: most,
            temperature: 0.0,
        };
        let (pieces, mut heard) = mpsc::channel(1024);
        let begun = Instant::now();
        let asked = self.model.chat(request, Some(pieces), CancellationToken::new());
        let listened = async {
            let mut times = Vec::new();
            while heard.recv().await.is_some() {
                times.push(begun.elapsed().as_secs_f64());
            }
            times
        };
        let (response, times) = tokio::join!(asked, listened);
        let usage = response?.usage;
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            anyhow::bail!("the model said nothing");
        };
        let read = f64::from(usage.input_tokens - usage.cached_tokens);
        Ok((read / first, f64::from(usage.output_tokens - 1) / (last - first)))
    }
}

struct Theirs {
    server: super::Running,
    address: String,
    loaded: f64,
    http: reqwest::Client,
}

impl Theirs {
    fn start(cache: &Path) -> anyhow::Result<Self> {
        let python = installed(&cache.join("bench").join("llama"))?;
        let known = download::named(&candle::Config::default().name)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/bench/llama.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(cache.join("models").join(&known.file))
            .args([THREADS.to_string(), CONTEXT.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting llama.cpp")?;
        let output = child.stdout.take().context("the output of llama.cpp")?;
        let server = super::Running(child);
        let about = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| serde_json::from_str::<Value>(&line).ok().filter(Value::is_object))
            .context("llama.cpp did not start")?;
        let address = about["address"].as_str().context("its address")?.to_owned();
        let loaded = about["loaded_s"].as_f64().context("its time to load")?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { server, address, loaded, http })
    }

    /// Tokens of the prompt per second, and of the answer, as the server itself measures them.
    async fn text(&self, said: &str, most: u32) -> anyhow::Result<(f64, f64)> {
        let system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
        let prompt = chatml(system, said);
        let body =
            json!({"prompt": prompt, "n_predict": most, "cache_prompt": false, "temperature": 0});
        let answer = self.http.post(format!("{}/completion", self.address)).json(&body);
        let answer: Value = answer.send().await?.error_for_status()?.json().await?;
        let number = |key: &str| {
            answer["timings"][key].as_f64().with_context(|| format!("llama.cpp's {key}"))
        };
        Ok((number("prompt_per_second")?, number("predicted_per_second")?))
    }

    /// One call, constrained to the tools' schemas; the tools are described in the prompt as ours are.
    async fn call(&self, request: &ChatRequest) -> anyhow::Result<()> {
        let calls: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                json!({"type": "object", "required": ["name", "arguments"], "additionalProperties": false,
                    "properties": {"name": {"const": tool.name}, "arguments": tool.parameters}})
            })
            .collect();
        let mut messages = request.messages.clone();
        if let Some(first) = messages.first_mut() {
            first.content += "\n\nAnswer with one JSON object: {\"name\": ..., \"arguments\": {...}}. Functions:\n";
            first.content += &serde_json::to_string(&request.tools)?;
        }
        let schema = json!({"name": "call", "schema": {"anyOf": calls}});
        let body = json!({"messages": messages, "max_tokens": request.max_tokens, "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": schema}});
        let answer = self.http.post(format!("{}/v1/chat/completions", self.address)).json(&body);
        let answer: Value = answer.send().await?.error_for_status()?.json().await?;
        let text = answer["choices"][0]["message"]["content"].as_str().context("their answer")?;
        let call: Value = serde_json::from_str(text).context("their call is not whole")?;
        ensure!(call["name"].is_string(), "their call has no name");
        Ok(())
    }
}

/// A prompt in the model's own form.
fn chatml(system: &str, said: &str) -> String {
    format!(
        "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{said}<|im_end|>\n<|im_start|>assistant\n"
    )
}

/// The Python with the package, made when it is not there.
fn installed(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let python = folder.join("bin/python");
    let works = |program: &mut Command| {
        let ran = program.stdout(Stdio::null()).stderr(Stdio::null()).status();
        ran.is_ok_and(|status| status.success())
    };
    if !works(Command::new(&python).args(["-c", "import xllamacpp"])) {
        ensure!(
            works(Command::new("python3").args(["-m", "venv"]).arg(folder))
                && works(Command::new(&python).args(["-m", "pip", "install", "-q", PACKAGE])),
            "cannot install {PACKAGE} into {}; install Python 3 with venv and pip",
            folder.display()
        );
    }
    Ok(python)
}

/// Reading and writing.
async fn speed(
    ours: &Ours,
    theirs: impl AsyncFn(&str, u32) -> anyhow::Result<(f64, f64)>,
    row: impl Fn(&'static str, &'static str, Pair),
) -> anyhow::Result<()> {
    let (mut read, mut written) = (Pair::default(), Pair::default());
    for round in 0..ROUNDS {
        // different from the first word on, so that nothing is known of it
        let long =
            format!("{round} is the number. {}", "The cluster has nodes and pods. ".repeat(70));
        read.0.push(ours.text(&long, 1).await?.0);
        read.1.push(theirs(&long, 1).await?.0);
        let count = format!("{round}: write the numbers from one to two hundred in words.");
        written.0.push(ours.text(&count, DECODED).await?.1);
        written.1.push(theirs(&count, DECODED).await?.1);
    }
    row("prefill, 510 tokens", "tokens/s", read);
    row("decode, 128 tokens", "tokens/s", written);
    Ok(())
}

/// The same requests to both, the second time, when each has their beginnings in its cache.
async fn calls(
    ours: &Ours,
    theirs: impl AsyncFn(&ChatRequest) -> anyhow::Result<()>,
    requests: &[ChatRequest],
) -> anyhow::Result<Pair> {
    let mut times = Pair::default();
    for round in 0..=ROUNDS {
        for request in requests {
            let mut request = request.clone();
            if let Some(last) = request.messages.last_mut() {
                last.content += &format!(" ({round})");
            }
            let begun = Instant::now();
            ours.model.chat(request.clone(), None, CancellationToken::new()).await?;
            let ours = begun.elapsed().as_secs_f64() * 1000.0;
            let begun = Instant::now();
            theirs(&request).await?;
            let theirs = begun.elapsed().as_secs_f64() * 1000.0;
            if round > 0 {
                times.0.push(ours);
                times.1.push(theirs);
            }
        }
    }
    Ok(times)
}

/// Decoding while as many processes as there are threads want the cores.
async fn busy(ours: &Ours, theirs: &Theirs) -> anyhow::Result<Pair> {
    let burn = || -> anyhow::Result<Child> {
        Ok(Command::new(std::env::current_exe()?).arg("--burn").stdout(Stdio::null()).spawn()?)
    };
    let _burning =
        (0..THREADS).map(|_| Ok(super::Running(burn()?))).collect::<anyhow::Result<Vec<_>>>()?;
    let count = "count from one to fifty in words.";
    let count = (ours.text(count, 32).await?.1, theirs.text(count, 32).await?.1);
    Ok((vec![count.0], vec![count.1]))
}

/// Wants a core until it is killed.
pub(crate) fn burn() -> ! {
    loop {
        std::hint::spin_loop();
    }
}
