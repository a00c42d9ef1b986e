//! Reading a Kubernetes cluster, as kubemate itself or as an operator (impersonation): kinds, objects, logs, usage, access.
//!
//! Nothing here writes. Values of secrets and what looks like a credential never leave this module: every object and every
//! log line is masked before it is returned.

pub mod kinds;

mod inventory;
mod logs;
mod mask;
mod table;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::Client;
use serde_json::{Value, json};

use crate::domain::{Actor, Inventory};
pub use kinds::{Kind, Kinds};
pub use logs::LogQuery;
pub use mask::mask_line;
pub use table::Table;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long discovery serves before it is done again.
const KINDS_FRESH: Duration = Duration::from_secs(60);
/// Clients of operators that are kept; when there are more, all are made anew.
const MAX_CLIENTS: usize = 64;
/// Objects of one list; what is beyond is left out, and said so.
pub const MAX_ITEMS: usize = 5_000;
/// Namespaces asked one by one for who may not list all at once.
const MAX_NAMESPACES: usize = 100;
/// Objects fetched with one request.
const PAGE: usize = 500;

/// One cluster. Clones share everything.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    config: kube::Config,
    clock: Clock,
    clients: Mutex<HashMap<Identity, Client>>,
    kinds: tokio::sync::Mutex<Option<(Instant, Arc<Kinds>)>>,
}

/// The cluster's present moment, which timestamps of its objects are compared with.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// User and groups; `None` is kubemate's own account.
type Identity = Option<(String, Vec<String>)>;

/// The cluster as one identity sees it.
#[derive(Clone)]
pub struct View {
    cluster: Cluster,
    client: Client,
}

/// Objects of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// The objects, `apiVersion` and `kind` included.
    pub items: Vec<Value>,
    /// Whether there are more than were read.
    pub more: bool,
    /// What was asked: `GET /api/v1/...`.
    pub query: String,
}

/// Which objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Label selector: `app=web,tier!=db`.
    pub labels: Option<String>,
    /// Field selector: `involvedObject.name=web`.
    pub fields: Option<String>,
}

impl Selection {
    /// Everything in `namespace`, or everything.
    #[must_use]
    pub fn namespace(namespace: Option<&str>) -> Self {
        Self { namespace: namespace.map(str::to_owned), ..Self::default() }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let labels = self.labels.clone().map(|labels| ("labelSelector", labels));
        let fields = self.fields.clone().map(|fields| ("fieldSelector", fields));
        labels.into_iter().chain(fields).collect()
    }
}

/// Why the cluster could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no such object or kind.
    #[error("{0}")]
    NotFound(String),
    /// The identity may not read this; the API server's words.
    #[error("{0}")]
    Forbidden(String),
    /// The API server does not accept the request; its words.
    #[error("{0}")]
    Refused(String),
    /// The cluster did not answer.
    #[error("the cluster cannot be reached: {0}")]
    Unreachable(String),
}

impl Cluster {
    /// The cluster `config` leads to; nothing is asked of it yet.
    #[must_use]
    pub fn new(config: kube::Config) -> Self {
        Self::with_clock(config, Arc::new(jiff::Timestamp::now))
    }

    /// A cluster that keeps a time of its own.
    #[must_use]
    pub fn with_clock(config: kube::Config, clock: Clock) -> Self {
        let kinds = tokio::sync::Mutex::default();
        let shared = Shared { config, clock, clients: Mutex::default(), kinds };
        Self { shared: Arc::new(shared) }
    }

    /// How it is reached.
    #[must_use]
    pub fn config(&self) -> &kube::Config {
        &self.shared.config
    }

    /// The cluster's present moment.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        (self.shared.clock)()
    }

    /// As kubemate's own account sees it.
    ///
    /// # Errors
    /// When the client cannot be set up (certificates).
    pub fn own(&self) -> Result<View, ClusterError> {
        self.view(None)
    }

    /// As the operator sees it: their user and groups are impersonated, so the cluster's own RBAC decides.
    ///
    /// # Errors
    /// When the client cannot be set up (certificates, a name that no header can carry).
    pub fn as_actor(&self, actor: &Actor) -> Result<View, ClusterError> {
        self.view(Some((actor.name.clone(), actor.groups.clone())))
    }

    fn view(&self, identity: Identity) -> Result<View, ClusterError> {
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&identity) {
            return Ok(View { cluster: self.clone(), client: client.clone() });
        }
        let mut config = self.shared.config.clone();
        if let Some((user, groups)) = &identity {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(groups.clone());
        }
        config.connect_timeout = Some(config.connect_timeout.unwrap_or(TIMEOUT).min(TIMEOUT));
        let client = Client::try_from(config).map_err(|error| {
            ClusterError::Refused(format!("setting up the cluster client: {error}"))
        })?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(identity, client.clone());
        Ok(View { cluster: self.clone(), client })
    }

    /// The kinds the cluster serves, at most a minute old.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub async fn kinds(&self) -> Result<Arc<Kinds>, ClusterError> {
        let mut kept = self.shared.kinds.lock().await;
        if let Some((read, kinds)) = kept.as_ref()
            && read.elapsed() < KINDS_FRESH
        {
            return Ok(Arc::clone(kinds));
        }
        let kinds = Arc::new(kinds::discover(&self.own()?).await?);
        *kept = Some((Instant::now(), Arc::clone(&kinds)));
        Ok(kinds)
    }

    /// The live names, as kubemate's own account sees them. Kinds that cannot be listed are left out.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub async fn inventory(&self) -> Result<Inventory, ClusterError> {
        inventory::read(&self.own()?).await
    }
}

impl View {
    /// The kind of that name (`Deployment`, `deploy`, `deployments.apps`), in any case.
    ///
    /// # Errors
    /// [`ClusterError::NotFound`] with what is served instead.
    pub async fn kind(&self, name: &str) -> Result<Kind, ClusterError> {
        self.cluster.kinds().await?.find(name).cloned()
    }

    /// Objects of `kind`, at most [`MAX_ITEMS`]. Who may not list everywhere gets what they may list, namespace by namespace.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn list(&self, kind: &Kind, which: &Selection) -> Result<Listed, ClusterError> {
        let refused = match self.list_one(kind, which).await {
            Err(ClusterError::Forbidden(message)) => ClusterError::Forbidden(message),
            other => return other,
        };
        let mut all = Listed::default();
        let mut allowed = false;
        for which in self.single_namespaces(kind, which).await {
            match self.list_one(kind, &which).await {
                Ok(listed) => {
                    allowed = true;
                    all.query = [all.query, listed.query].join("\n").trim().to_owned();
                    all.more |= listed.more;
                    all.items.extend(listed.items);
                }
                Err(ClusterError::Forbidden(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if allowed { Ok(all) } else { Err(refused) }
    }

    /// A selection over all namespaces, as one for each.
    async fn single_namespaces(&self, kind: &Kind, which: &Selection) -> Vec<Selection> {
        if !kind.namespaced || which.namespace.is_some() {
            return Vec::new();
        }
        // names of namespaces are asked for with kubemate's own account; what is in them is not
        let names = async {
            let own = self.cluster.own()?;
            let namespaces = own.kind("namespaces").await?;
            own.list_one(&namespaces, &Selection::default()).await
        };
        let names = names.await.map(|listed| listed.items).unwrap_or_default();
        let names = names.iter().filter_map(|object| object.pointer("/metadata/name")?.as_str());
        names
            .take(MAX_NAMESPACES)
            .map(|name| Selection { namespace: Some(name.to_owned()), ..which.clone() })
            .collect()
    }

    async fn list_one(&self, kind: &Kind, which: &Selection) -> Result<Listed, ClusterError> {
        let path = kind.path(which.namespace.as_deref(), None)?;
        let filter = which.query();
        let mut listed =
            Listed { query: format!("GET {}", with_query(&path, &filter)), ..Listed::default() };
        let mut next: Option<String> = None;
        loop {
            let mut query = filter.clone();
            query.push(("limit", PAGE.to_string()));
            query.extend(next.take().map(|token| ("continue", token)));
            let mut page = self.get(&with_query(&path, &query)).await?;
            let items = page.get_mut("items").map(Value::take);
            for mut item in items.and_then(array).unwrap_or_default() {
                if let Some(object) = item.as_object_mut() {
                    object.entry("apiVersion").or_insert_with(|| json!(kind.api_version()));
                    object.entry("kind").or_insert_with(|| json!(kind.kind));
                }
                mask::object(&mut item);
                listed.items.push(item);
            }
            next = page.pointer("/metadata/continue").and_then(Value::as_str).map(str::to_owned);
            if next.as_ref().is_none_or(String::is_empty) {
                return Ok(listed);
            }
            if listed.items.len() >= MAX_ITEMS {
                listed.more = true;
                return Ok(listed);
            }
        }
    }

    /// [`View::list`] of the kind called `name`.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn list_named(&self, name: &str, which: &Selection) -> Result<Listed, ClusterError> {
        self.list(&self.kind(name).await?, which).await
    }

    /// Objects of `kind` as the API server shows them to people (`kubectl get`), one page; as [`View::list`] for those who
    /// may not list everywhere.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn table(&self, kind: &Kind, which: &Selection) -> Result<Table, ClusterError> {
        let refused = match self.table_one(kind, which).await {
            Err(ClusterError::Forbidden(message)) => ClusterError::Forbidden(message),
            other => return other,
        };
        let mut all: Option<Table> = None;
        for which in self.single_namespaces(kind, which).await {
            match (self.table_one(kind, &which).await, &mut all) {
                (Ok(table), Some(all)) => all.extend(table),
                (Ok(table), None) => all = Some(table),
                (Err(ClusterError::Forbidden(_)), _) => {}
                (Err(error), _) => return Err(error),
            }
        }
        all.ok_or(refused)
    }

    async fn table_one(&self, kind: &Kind, which: &Selection) -> Result<Table, ClusterError> {
        let path = kind.path(which.namespace.as_deref(), None)?;
        let mut query = which.query();
        let shown = format!("GET {}", with_query(&path, &query));
        query.push(("limit", PAGE.to_string()));
        let request = http::Request::get(with_query(&path, &query))
            .header(http::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
            .body(Vec::new())
            .map_err(|error| ClusterError::Refused(error.to_string()))?;
        let answer: Value = self.send(self.client.request(request)).await?;
        Ok(table::read(&answer, kind, shown))
    }

    /// One object.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn object(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Value, ClusterError> {
        self.get(&kind.path(namespace, Some(name))?).await
    }

    /// Log lines, oldest first, masked.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn logs(&self, wanted: &LogQuery) -> Result<Vec<String>, ClusterError> {
        let request = wanted.request()?;
        let text = self.send(self.client.request_text(request)).await?;
        Ok(text.lines().map(mask_line).collect())
    }

    /// What pods (or, without `pods`, nodes) use now, as `metrics.k8s.io` tells; `None` where it does
    /// not, or not to this identity.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn usage(&self, resource: UsageOf<'_>) -> Result<Option<Vec<Value>>, ClusterError> {
        let path = match resource {
            UsageOf::Nodes => "/apis/metrics.k8s.io/v1beta1/nodes".to_owned(),
            UsageOf::Pods(None) => "/apis/metrics.k8s.io/v1beta1/pods".to_owned(),
            UsageOf::Pods(Some(namespace)) => {
                let namespace = kinds::segment(namespace)?;
                format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods")
            }
        };
        match self.get(&path).await {
            Ok(mut list) => Ok(list.get_mut("items").map(Value::take).and_then(array)),
            // usage is an extra: without it, what is requested can still be told
            Err(_) => Ok(None),
        }
    }

    /// Whether this identity may do `verb` on the kind.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn can(
        &self,
        verb: &str,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<bool, ClusterError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb, "group": kind.group, "resource": kind.plural, "namespace": namespace,
            }},
        });
        let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes())
            .map_err(|error| ClusterError::Refused(error.to_string()))?;
        let answer: Value = self.send(self.client.request(request)).await?;
        Ok(answer.pointer("/status/allowed") == Some(&Value::Bool(true)))
    }

    /// The answer to a `GET`, masked.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClusterError> {
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|error| ClusterError::Refused(error.to_string()))?;
        let mut answer: Value = self.send(self.client.request(request)).await?;
        mask::object(&mut answer);
        Ok(answer)
    }

    async fn send<T>(
        &self,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(TIMEOUT, request).await {
            Ok(answer) => answer.map_err(|error| failed(&error)),
            Err(_) => {
                Err(ClusterError::Unreachable(format!("no answer within {} s", TIMEOUT.as_secs())))
            }
        }
    }
}

/// Whose usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageOf<'a> {
    /// Of the nodes.
    Nodes,
    /// Of the pods of one namespace, or of all.
    Pods(Option<&'a str>),
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// `path?key=value&...`, encoded.
fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let base = "http://cluster";
    reqwest::Url::parse_with_params(&format!("{base}{path}"), query)
        .map(|url| url.as_str().trim_start_matches(base).trim_end_matches('?').to_owned())
        .unwrap_or_else(|_| path.to_owned())
}

fn failed(error: &kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) => {
            let message = if status.message.is_empty() {
                format!("the API server answered {} {}", status.code, status.reason)
            } else {
                status.message.clone()
            };
            match status.code {
                404 => ClusterError::NotFound(message),
                401 | 403 => ClusterError::Forbidden(message),
                400..=499 if status.code != 429 => ClusterError::Refused(message),
                _ => ClusterError::Unreachable(message),
            }
        }
        other => ClusterError::Unreachable(chain(other)),
    }
}

/// An error with its causes: the outermost alone says little ("client error").
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
