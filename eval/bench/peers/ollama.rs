//! The embedded model beside a real Ollama, which `tests/peers/ollama.sh` builds once (Go is needed): the same file imported,
//! two threads each, turn and turn about. Requests for a call go through the program's own adapter.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use kubemate::{
    config::Config,
    model::{
        ChatRequest, Model as _, candle, download,
        ollama::{self, Ollama},
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{CONTEXT, Ours, THREADS, calls, chatml, line, requests, speed};

/// The name of the imported model.
const NAME: &str = "measured";
/// How the model writes a conversation; Ollama has no template of its own for a file.
const TEMPLATE: &str = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n";

/// Measures; `tell` hears each line of the table as soon as it is known.
pub(crate) async fn table(tell: impl Fn(&str)) -> anyhow::Result<()> {
    let config = Config::read(None)?;
    let requests = requests().await?;
    let ours = Ours::load(&config.cache).await?;
    let theirs = Theirs::start(&config.cache).await?;
    tell("| what | kubemate | Ollama | ratio | unit |\n|---|---|---|---|---|");
    let row = |what, unit, pair| tell(&line(what, unit, pair));
    row("load", "s", (vec![ours.loaded], vec![theirs.loaded]));
    speed(&ours, async |said, most| theirs.text(said, most).await, &row).await?;
    let calls = calls(&ours, async |request| theirs.call(request).await, &requests).await?;
    row("request to tool call, prompt in the cache", "ms", calls);
    let memory = (super::super::resident(std::process::id())?, theirs.memory()?);
    row("resident memory", "MiB", (vec![memory.0], vec![memory.1]));
    Ok(())
}

/// An Ollama of our own with nothing of the user's in sight; it ends with this value, and so does what it started.
struct Theirs {
    server: Group,
    url: String,
    loaded: f64,
    adapter: Ollama,
    http: reqwest::Client,
    _home: tempfile::TempDir,
}

/// A process that leads a group of its own.
struct Group(std::process::Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.0.wait());
    }
}

impl Theirs {
    async fn start(cache: &Path) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/ollama.sh");
        let built =
            Command::new(script).stderr(Stdio::inherit()).output().context("building Ollama")?;
        ensure!(built.status.success(), "Ollama cannot be built; see above");
        let program = String::from_utf8(built.stdout)?.trim().to_owned();
        let home = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let run = || {
            let mut command = Command::new(&program);
            command.env("HOME", home.path()).env("OLLAMA_MODELS", home.path().join("models"));
            command.env("OLLAMA_HOST", &url).env("OLLAMA_NO_CLOUD", "1");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let server = Group(run().arg("serve").process_group(0).spawn().context("starting Ollama")?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let begun = Instant::now();
        while http.get(format!("{url}/api/version")).send().await.is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(60), "Ollama does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let file =
            cache.join("models").join(&download::named(&candle::Config::default().name)?.file);
        let recipe = home.path().join("Modelfile");
        let lines = [
            format!("FROM {}", file.display()),
            format!("TEMPLATE \"\"\"{TEMPLATE}\"\"\""),
            "PARAMETER stop \"<|im_end|>\"".to_owned(),
            format!("PARAMETER num_thread {THREADS}"),
        ];
        std::fs::write(&recipe, lines.join("\n"))?;
        let created = run().args(["create", NAME, "-f"]).arg(&recipe).status()?;
        ensure!(created.success(), "Ollama cannot import {}", file.display());
        let begun = Instant::now();
        let load = json!({"model": NAME, "keep_alive": "30m", "options": {"num_ctx": CONTEXT}});
        http.post(format!("{url}/api/generate")).json(&load).send().await?.error_for_status()?;
        let loaded = begun.elapsed().as_secs_f64();
        let config = json!({"name": NAME, "url": url, "context": CONTEXT});
        let adapter = Ollama::new(serde_json::from_value::<ollama::Config>(config)?)?;
        Ok(Self { server, url, loaded, adapter, http, _home: home })
    }

    /// Tokens of the prompt per second, and of the answer, as the server itself measures them.
    async fn text(&self, said: &str, most: u32) -> anyhow::Result<(f64, f64)> {
        // different from the first words on, so that nothing is known of it
        let number = said.split(' ').next().unwrap_or_default();
        let body = json!({"model": NAME, "prompt": chatml(number, said), "raw": true, "stream": false, "keep_alive": "30m",
            "options": {"num_predict": most, "temperature": 0, "num_ctx": CONTEXT}});
        let answer = self.http.post(format!("{}/api/generate", self.url)).json(&body);
        let answer: Value = answer.send().await?.error_for_status()?.json().await?;
        let number = |key: &str| answer[key].as_f64().with_context(|| format!("Ollama's {key}"));
        let rate = |what: &str| -> anyhow::Result<f64> {
            let nanoseconds = number(&format!("{what}_duration"))?;
            Ok(number(&format!("{what}_count"))? / nanoseconds * 1e9)
        };
        // of a single token it tells no time
        let written = if most > 1 { rate("eval")? } else { 0.0 };
        Ok((rate("prompt_eval")?, written))
    }

    /// One call, as the program asks for it.
    async fn call(&self, request: &ChatRequest) -> anyhow::Result<()> {
        let answer = self.adapter.chat(request.clone(), None, CancellationToken::new()).await?;
        ensure!(answer.call.is_some(), "there is no call in Ollama's answer");
        Ok(())
    }

    /// Resident memory of the server and of the process that runs the model, in MiB.
    fn memory(&self) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for process in std::fs::read_dir("/proc")? {
            let name = process?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            // the name of the program stands in brackets; the group is the third field after it
            let group = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2));
            if group.and_then(|group| group.parse().ok()) == Some(self.server.0.id()) {
                sum += super::super::resident(pid)?;
            }
        }
        Ok(sum)
    }
}
