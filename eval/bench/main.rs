//! `make bench`: start-up and memory of the program, messages through the loop, writes and watches of the sandbox, and the way
//! from a request to the first tool call with the embedded model (`--model`). With `--peers`, only the model beside
//! llama.cpp, with `--ollama` beside Ollama. Prints a Markdown table; medians, with minimum and maximum.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::{StreamExt, stream};
use kubemate::{
    app::App,
    client::Client,
    config::{ClusterConfig, Config, SandboxOptions},
    model::scripted::{Scripted, Step},
    sandbox::{Sandbox, SandboxConfig},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Runs of each start.
const STARTS: usize = 5;
/// Messages of the loop's measurement, over [`THREADS`] conversations.
const MESSAGES: usize = 400;
/// Conversations at once.
const THREADS: usize = 8;
/// Writes of the sandbox's measurement, over [`CONNECTIONS`] connections.
const WRITES: usize = 10_000;
/// Connections at once.
const CONNECTIONS: usize = 8;

mod peers;

struct Row {
    what: &'static str,
    goal: &'static str,
    samples: Vec<f64>,
    unit: &'static str,
}

#[expect(clippy::print_stdout, reason = "this is the program's output")]
fn main() -> anyhow::Result<()> {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    if given("--burn") {
        peers::burn();
    }
    if given("--peers") || given("--ollama") {
        drop(rustls::crypto::ring::default_provider().install_default());
        kubemate::model::candle::restart_with_own_threads()?;
        let runtime = tokio::runtime::Runtime::new()?;
        let tell = |line: &str| println!("{line}");
        return if given("--ollama") {
            runtime.block_on(peers::ollama::table(tell))
        } else {
            runtime.block_on(peers::table(tell))
        };
    }
    let with_model = given("--model");
    let runtime = tokio::runtime::Runtime::new()?;
    let rows = runtime.block_on(measure(with_model))?;
    println!("| what | goal | median | min | max | unit |\n|---|---|---|---|---|---|");
    for Row { what, goal, mut samples, unit } in rows {
        samples.sort_by(f64::total_cmp);
        let median = samples[samples.len() / 2];
        let (min, max) = (samples[0], samples[samples.len() - 1]);
        println!("| {what} | {goal} | {median:.1} | {min:.1} | {max:.1} | {unit} |");
    }
    Ok(())
}

async fn measure(with_model: bool) -> anyhow::Result<Vec<Row>> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut rows = starts().await?;
    rows.push(messages().await?);
    rows.extend(sandbox().await?);
    if with_model {
        rows.extend(first_call().await?);
    }
    Ok(rows)
}

/// The `kubemate` program beside this one.
fn program() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe()?;
    let folder = me.parent().and_then(Path::parent).context("finding the build folder")?;
    let program = folder.join("kubemate");
    ensure!(program.exists(), "{} is missing; `make bench` builds it", program.display());
    Ok(program)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `kubemate up --model none` on an empty data folder, until it is ready; then its memory after ten seconds of rest.
async fn starts() -> anyhow::Result<Vec<Row>> {
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    let http = reqwest::Client::builder().no_proxy().build()?;
    for _ in 0..STARTS {
        let data = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let started = Instant::now();
        let child = Command::new(program()?)
            .args(["up", "--model", "none", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting kubemate")?;
        let running = Running(child);
        let url = format!("http://127.0.0.1:{port}/readyz");
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            ensure!(started.elapsed() < Duration::from_secs(60), "kubemate did not become ready");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ready.push(started.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_secs(10)).await;
        memory.push(resident(running.0.id())?);
    }
    Ok(vec![
        Row {
            what: "start to ready (`up --model none`, first start)",
            goal: "<= 1000",
            samples: ready,
            unit: "ms",
        },
        Row {
            what: "resident memory 10 s after the start, sample loaded",
            goal: "<= 80",
            samples: memory,
            unit: "MiB",
        },
    ])
}

/// Resident memory of a process, in MiB.
fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("finding VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("reading VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}

/// A program inside this process, on the sample.
async fn app(model: Option<kubemate::model::SharedModel>, data: &Path) -> anyhow::Result<App> {
    let mut config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        data: data.to_path_buf(),
        cluster: ClusterConfig::Sandbox(SandboxOptions::default()),
        ..Config::default()
    };
    config.server.requests_per_minute = u32::MAX;
    let app = App::start_with(config, model, CancellationToken::new()).await?;
    app.settled().await?;
    Ok(app)
}

/// Questions through HTTP, agent, one tool, scripted model, store and event stream.
async fn messages() -> anyhow::Result<Row> {
    let data = tempfile::tempdir()?;
    let script = Scripted::from_fn(|request| match request.tools.is_empty() {
        true => Step { text: Some("see the evidence".to_owned()), ..Step::default() },
        false => Step {
            call: Some(kubemate::model::ToolCall {
                name: "problems".to_owned(),
                arguments: json!({}),
            }),
            ..Step::default()
        },
    });
    let app = app(Some(Arc::new(script)), data.path()).await?;
    let server = format!("http://{}", app.address());
    let token = app.tokens().first().context("the sample has operators")?.token.clone();
    let started = Instant::now();
    let mut talks = tokio::task::JoinSet::new();
    for _ in 0..THREADS {
        let client = Client::new(&server, &token)?;
        talks.spawn(async move {
            let mut thread = None;
            for _ in 0..MESSAGES / THREADS {
                thread = Some(client.say(thread, "what is wrong right now?", |_| ()).await?);
            }
            anyhow::Ok(())
        });
    }
    while let Some(talk) = talks.join_next().await {
        talk??;
    }
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let rate = MESSAGES as f64 / started.elapsed().as_secs_f64();
    app.shutdown().await?;
    Ok(Row {
        what: "questions through the loop (HTTP, agent, tool, scripted model, store)",
        goal: "",
        samples: vec![rate],
        unit: "messages/s",
    })
}

/// Creates through HTTP, and the time from a write's answer to its watch event.
async fn sandbox() -> anyhow::Result<Vec<Row>> {
    let listen = ([127, 0, 0, 1], 0).into();
    let sandbox = Sandbox::start(SandboxConfig { listen, scenario: None, state: None }).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let base = format!("{}/api/v1/namespaces/default/configmaps", sandbox.url());
    let token = sandbox.admin_token().to_owned();
    let create = |number: usize| {
        let (http, base, token) = (http.clone(), base.clone(), token.clone());
        async move {
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("c-{number}")}, "data": {"n": number.to_string()}});
            let answer = http.post(&base).bearer_auth(&token).json(&body).send().await?;
            ensure!(answer.status().is_success(), "creating: {}", answer.text().await?);
            anyhow::Ok(())
        }
    };
    let started = Instant::now();
    let mut writes = stream::iter(0..WRITES).map(create).buffer_unordered(CONNECTIONS);
    while let Some(written) = writes.next().await {
        written?;
    }
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let rate = WRITES as f64 / started.elapsed().as_secs_f64();
    drop(writes);

    let mut latencies = Vec::new();
    let watch =
        http.get(format!("{base}?watch=true&resourceVersion=0&fieldSelector=metadata.name=c-0"));
    let mut events = watch.bearer_auth(&token).send().await?.bytes_stream();
    for number in 0..200 {
        let patch = json!({"data": {"n": format!("again {number}")}});
        let begun = Instant::now();
        let answer = http
            .patch(format!("{base}/c-0"))
            .bearer_auth(&token)
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string())
            .send()
            .await?;
        ensure!(answer.status().is_success(), "patching: {}", answer.text().await?);
        let wanted = format!("again {number}");
        loop {
            let chunk = events.next().await.context("the watch ended")??;
            if String::from_utf8_lossy(&chunk).contains(&wanted) {
                break;
            }
        }
        latencies.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    sandbox.shutdown().await?;
    Ok(vec![
        Row {
            what: "sandbox creates over HTTP, 8 connections",
            goal: ">= 2000",
            samples: vec![rate],
            unit: "writes/s",
        },
        Row {
            what: "sandbox: patch sent to its watch event read",
            goal: "",
            samples: latencies,
            unit: "ms",
        },
    ])
}

/// The embedded model: a request until the change is proposed; the first one loads the model and computes the prompt's prefix.
async fn first_call() -> anyhow::Result<Vec<Row>> {
    let mut config = Config::read(None)?;
    config.choose_model("candle")?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let data = tempfile::tempdir()?;
        let model = kubemate::app::model(&config)?;
        let app = app(model, data.path()).await?;
        let token = app.tokens().first().context("the sample has operators")?.token.clone();
        let client = Client::new(&format!("http://{}", app.address()), &token)?;
        for number in 0..6 {
            // words that name no system, so that the model has to choose
            let text = format!("what should one think of checkout in prod ({number})?");
            let begun = Instant::now();
            let mut first = None;
            client
                .say(None, &text, |event| {
                    let shown = serde_json::to_value(event).unwrap_or(Value::Null);
                    if shown.pointer("/phase").and_then(Value::as_str) == Some("tool") {
                        first.get_or_insert(begun.elapsed().as_secs_f64() * 1000.0);
                    }
                })
                .await?;
            let first = first.context("no tool was called")?;
            if number == 0 { cold.push(first) } else { warm.push(first) }
        }
        app.shutdown().await?;
    }
    Ok(vec![
        Row {
            what: "request to first tool call, embedded 1.5B, after the start",
            goal: "",
            samples: cold,
            unit: "ms",
        },
        Row {
            what: "request to first tool call, embedded 1.5B, warm",
            goal: "",
            samples: warm,
            unit: "ms",
        },
    ])
}
