//! The seam to tools: what the agent (and typed commands) can call. `tool/` holds one verb per file.
//!
//! What the model sees of a tool (`ToolSpec`) is data in `tools/*.yaml`, joined one to one with the code at start.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    cluster::Cluster,
    domain::{Actor, Evidence, Inventory, Lang, Operation},
    worktree::Repository,
};

mod change_history;
mod describe_object;
mod diagnose;
mod events;
mod list_objects;
mod pod_logs;
mod problems;
mod quantity;
mod read;
mod resource_usage;
mod restart;
mod rollback;
mod rollout_status;
mod scale;
mod set_env;
mod set_image;
mod set_resources;
mod target;
mod undo;

/// Every tool, joined with its declaration.
///
/// # Errors
/// See [`Registry::new`].
pub fn registry(cluster: &Cluster, repository: &Repository) -> Result<Registry, RegistryError> {
    let mut tools = read_tools(cluster, repository);
    tools.extend(change_tools());
    Registry::new(tools)
}

/// The tools that read the cluster and its history, one verb each.
#[must_use]
pub fn read_tools(cluster: &Cluster, repository: &Repository) -> Vec<Arc<dyn Tool>> {
    let cluster = || cluster.clone();
    vec![
        Arc::new(problems::Problems { cluster: cluster() }),
        Arc::new(list_objects::ListObjects { cluster: cluster() }),
        Arc::new(describe_object::DescribeObject { cluster: cluster() }),
        Arc::new(rollout_status::RolloutStatus { cluster: cluster() }),
        Arc::new(pod_logs::PodLogs { cluster: cluster() }),
        Arc::new(events::Events { cluster: cluster() }),
        Arc::new(resource_usage::ResourceUsage { cluster: cluster() }),
        Arc::new(change_history::ChangeHistory { repository: repository.clone() }),
    ]
}

/// The tools that propose changes, one verb each.
#[must_use]
pub fn change_tools() -> Vec<Arc<dyn Tool>> {
    vec![
        Arc::new(scale::Scale),
        Arc::new(set_image::SetImage),
        Arc::new(set_env::SetEnv),
        Arc::new(set_resources::SetResources),
        Arc::new(restart::Restart),
        Arc::new(rollback::Rollback),
        Arc::new(undo::Undo),
    ]
}

/// One verb.
#[async_trait]
pub trait Tool: Send + Sync {
    /// The name that joins code and `tools/<name>.yaml`.
    fn name(&self) -> &'static str;

    /// Runs it as the actor. `arguments` are already valid against the spec's `inputSchema`.
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError>;
}

/// What a call may know about its caller.
#[derive(Debug, Clone)]
pub struct ToolContext {
    /// On whose behalf.
    pub actor: Actor,
    /// Language for titles.
    pub lang: Lang,
    /// The names that exist now.
    pub inventory: Arc<Inventory>,
    /// Now.
    pub now: jiff::Timestamp,
}

/// What a call brings back. Read tools return evidence; change tools return typed edits and act on nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolOutput {
    /// Of a read tool.
    Evidence(Vec<Evidence>),
    /// Of a change tool.
    Change(Vec<Operation>),
}

/// A tool as declared in `tools/<name>.yaml` (MCP field names).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolSpec {
    /// `snake_case`, equal to the file's name.
    pub name: String,
    /// For people.
    pub title: String,
    /// For people who speak Chinese.
    pub title_zh: String,
    /// For the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
    /// MCP annotations.
    pub annotations: ToolAnnotations,
    /// Seconds after which a call is given up.
    pub timeout_seconds: u64,
}

/// MCP tool annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolAnnotations {
    /// True for tools that only read; false for change tools.
    pub read_only_hint: bool,
    /// Whether the change can lose data.
    #[serde(default)]
    pub destructive_hint: bool,
}

/// Why a call brought nothing back.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Something the model or the operator can react to (unknown object, empty result, forbidden); shown to them.
    #[error("{0}")]
    Respond(String),
    /// The backend is down or broken: the turn ends and says so.
    #[error(transparent)]
    Fatal(#[from] anyhow::Error),
}

/// Why the tools could not be put together at start.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Code without `tools/<name>.yaml`.
    #[error("the tool '{0}' has no tools/{0}.yaml; add the file or remove the tool")]
    NoSpec(String),
    /// `tools/<name>.yaml` without code.
    #[error("tools/{0}.yaml belongs to no tool; add the tool to the list or remove the file")]
    NoCode(String),
    /// Two tools of one name.
    #[error("there are two tools named '{0}'")]
    Twice(String),
    /// A file that does not say what a tool needs.
    #[error("reading tools/{file}: {detail}")]
    BadSpec {
        /// File name.
        file: String,
        /// What is wrong.
        detail: String,
    },
}

#[derive(RustEmbed)]
#[folder = "tools/"]
struct SpecFiles;

/// Every tool, code and declaration joined one to one.
pub struct Registry {
    tools: Vec<Registered>,
    hash: String,
}

struct Registered {
    spec: ToolSpec,
    schema: jsonschema::Validator,
    tool: Arc<dyn Tool>,
}

impl Registry {
    /// Joins the tools with the embedded `tools/*.yaml`.
    ///
    /// # Errors
    /// When code and declarations are not one to one, or a declaration is not valid.
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Result<Self, RegistryError> {
        let mut specs = Vec::new();
        for file in SpecFiles::iter().filter(|f| f.ends_with(".yaml")) {
            let data = SpecFiles::get(&file).expect("invariant: a listed file is embedded");
            let bad = |detail: String| RegistryError::BadSpec { file: file.to_string(), detail };
            let text = std::str::from_utf8(&data.data).map_err(|e| bad(e.to_string()))?;
            let spec: ToolSpec = serde_saphyr::from_str(text).map_err(|e| bad(e.to_string()))?;
            if file.strip_suffix(".yaml") != Some(spec.name.as_str()) {
                return Err(bad(format!("its name is '{}', unlike the file's", spec.name)));
            }
            specs.push(spec);
        }
        Self::with_specs(tools, specs)
    }

    /// Joins tools with declarations from elsewhere (tests, plug-ins).
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn with_specs(
        tools: Vec<Arc<dyn Tool>>,
        mut specs: Vec<ToolSpec>,
    ) -> Result<Self, RegistryError> {
        let mut joined: Vec<Registered> = Vec::new();
        for tool in tools {
            let name = tool.name();
            if joined.iter().any(|r| r.spec.name == name) {
                return Err(RegistryError::Twice(name.to_owned()));
            }
            let position = specs
                .iter()
                .position(|s| s.name == name)
                .ok_or_else(|| RegistryError::NoSpec(name.to_owned()))?;
            let spec = specs.remove(position);
            let schema = jsonschema::validator_for(&spec.input_schema).map_err(|e| {
                RegistryError::BadSpec { file: format!("{name}.yaml"), detail: e.to_string() }
            })?;
            joined.push(Registered { spec, schema, tool });
        }
        if let Some(left) = specs.first() {
            return Err(RegistryError::NoCode(left.name.clone()));
        }
        joined.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        let specs: Vec<&ToolSpec> = joined.iter().map(|r| &r.spec).collect();
        let text = serde_json::to_string(&specs).expect("invariant: specs are plain data");
        Ok(Self { hash: hex::encode(Sha256::digest(text.as_bytes())), tools: joined })
    }

    /// Declarations of all tools, by name.
    pub fn specs(&self) -> impl Iterator<Item = &ToolSpec> {
        self.tools.iter().map(|r| &r.spec)
    }

    /// The declaration of one tool.
    #[must_use]
    pub fn spec(&self, name: &str) -> Option<&ToolSpec> {
        self.specs().find(|s| s.name == name)
    }

    /// SHA-256 (hex) over all declarations.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Calls a tool after checking the arguments against its schema, within its time limit.
    ///
    /// # Errors
    /// [`ToolError::Respond`] for an unknown tool, invalid arguments and the time limit; else what the tool says.
    pub async fn call(
        &self,
        context: &ToolContext,
        name: &str,
        arguments: Value,
    ) -> Result<ToolOutput, ToolError> {
        let Some(found) = self.tools.iter().find(|r| r.spec.name == name) else {
            return Err(ToolError::Respond(format!("there is no tool '{name}'")));
        };
        if let Err(error) = found.schema.validate(&arguments) {
            let place = error.instance_path().to_string();
            return Err(ToolError::Respond(format!("{name}{place}: {error}")));
        }
        let limit = Duration::from_secs(found.spec.timeout_seconds);
        match tokio::time::timeout(limit, found.tool.call(context, arguments)).await {
            Ok(result) => result,
            Err(_) => Err(ToolError::Respond(format!(
                "{name} gave no result within {} s; ask for less, or try again",
                limit.as_secs()
            ))),
        }
    }
}
