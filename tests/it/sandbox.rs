//! The sandbox's API server, over HTTP as clients use it.

mod access;
mod apply;
mod custom;
mod objects;
mod reads;
mod runtime;
mod watches;

use kubemate::sandbox::{
    api::{self, ApiState, User},
    clock::Clock,
    storage::Storage,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub(crate) const ADMIN: &str = "admin-token";

/// An API server without controllers.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) storage: Storage,
    client: reqwest::Client,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server with the namespace `a`.
    pub(crate) async fn start() -> Self {
        // fails when another test was first, which is as good
        let _ = rustls::crypto::ring::default_provider().install_default();
        let storage = Storage::new(Clock::real());
        let state = ApiState::new(storage.clone(), Some(ADMIN.into()));
        state.add_token("alice-token", User::new("alice", &["developers"]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            api::serve(listener, state, CancellationToken::new()).await.unwrap();
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let server = Self { url, storage, client, _tasks: tasks };
        server.post("/api/v1/namespaces", json!({"metadata": {"name": "a"}})).await.ok();
        server
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN)
    }

    /// Sends a request as the admin, or as the token in an `Authorization` header among `headers`.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.bearer_auth(ADMIN);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let warnings = response
            .headers()
            .get_all("warning")
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, body, warnings }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], Some(body)).await
    }

    /// Patches with the kind `merge`, `json`, `strategic` or `apply`.
    pub(crate) async fn patch(&self, kind: &str, path: &str, body: Value) -> Answer {
        let media = match kind {
            "apply" => "application/apply-patch+yaml",
            "merge" => "application/merge-patch+json",
            "json" => "application/json-patch+json",
            _ => "application/strategic-merge-patch+json",
        };
        self.send("PATCH", path, &[("content-type", media)], Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None).await
    }

    /// Opens a watch.
    pub(crate) async fn watch(&self, path: &str) -> Events {
        let response = self.request(reqwest::Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Events { response, rest: Vec::new() }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// The object of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.body);
        self.body
    }

    /// The message of a failure with this status.
    #[track_caller]
    pub(crate) fn refused(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["kind"], "Status");
        assert_eq!(self.body["code"], status);
        self.body["message"].as_str().unwrap().to_owned()
    }
}

/// A watch being read.
pub(crate) struct Events {
    response: reqwest::Response,
    rest: Vec<u8>,
}

impl Events {
    /// The next event; `None` when the server ended the watch.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            self.rest.extend(self.response.chunk().await.unwrap()?);
        }
    }

    /// Type and object name of the next event.
    pub(crate) async fn brief(&mut self) -> (String, String) {
        let event = self.next().await.unwrap();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/a/deployments";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/a/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/a/pods";

pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub(crate) fn pod(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]}})
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]}}}})
}
