//! Finding the workload a change tool's arguments name; a change needs one that git declares.

use serde::Deserialize;

use super::{ToolContext, ToolError};
use crate::domain::{ContainerInfo, Lang, Workload};

/// The arguments that name a workload, shared by the change tools.
#[derive(Debug, Deserialize)]
pub(super) struct Target {
    /// Its name, as the inventory writes it.
    pub(super) workload: String,
    /// Its namespace; may be left out when the name is unique.
    pub(super) namespace: Option<String>,
    /// Its kind; may be left out when the name is unique.
    pub(super) kind: Option<String>,
}

impl Target {
    /// The one workload meant.
    pub(super) fn find<'a>(&self, context: &'a ToolContext) -> Result<&'a Workload, ToolError> {
        let zh = context.lang == Lang::Zh;
        let found: Vec<&Workload> = context
            .inventory
            .workloads
            .iter()
            .filter(|w| w.object.name == self.workload)
            .filter(|w| self.namespace.is_none() || w.object.namespace == self.namespace)
            .filter(|w| self.kind.as_ref().is_none_or(|k| *k == w.object.kind))
            .collect();
        match found.as_slice() {
            [] => Err(ToolError::Respond(match (zh, &self.namespace) {
                (true, Some(ns)) => {
                    format!("命名空间 {ns} 里没有名为 {} 的工作负载", self.workload)
                }
                (true, None) => format!("没有名为 {} 的工作负载", self.workload),
                (false, Some(ns)) => {
                    format!("there is no workload {} in namespace {ns}", self.workload)
                }
                (false, None) => format!("there is no workload {}", self.workload),
            })),
            [one] if one.unit.is_none() => Err(ToolError::Respond(if zh {
                format!(
                    "{} 只存在于集群里，没有任何 git 清单声明它，所以不能通过提交修改；请先把它加入仓库",
                    one.object
                )
            } else {
                format!(
                    "{} exists only in the cluster and no manifest in git declares it, so a commit cannot change it; add it to the repository first",
                    one.object
                )
            })),
            [one] => Ok(one),
            several => {
                let list: Vec<String> = several.iter().map(|w| w.object.to_string()).collect();
                let list = list.join(", ");
                Err(ToolError::Respond(if zh {
                    format!("{} 不止一个：{list}；请说明是哪一个", self.workload)
                } else {
                    format!("there are several {}: {list}; say which one", self.workload)
                }))
            }
        }
    }
}

/// The container a change is about: the named one, or `None` for a workload's only container.
pub(super) fn container(
    context: &ToolContext,
    workload: &Workload,
    wanted: Option<String>,
) -> Result<Option<String>, ToolError> {
    let names: Vec<&str> = workload.containers.iter().map(|c: &ContainerInfo| &*c.name).collect();
    let zh = context.lang == Lang::Zh;
    let list = names.join(", ");
    let name = &workload.object.name;
    match wanted {
        Some(wanted) if names.contains(&wanted.as_str()) => Ok(Some(wanted)),
        Some(wanted) => Err(ToolError::Respond(if zh {
            format!("{name} 没有名为 {wanted} 的容器；它的容器是 {list}")
        } else {
            format!("{name} has no container {wanted}; its containers are {list}")
        })),
        None if names.len() > 1 => Err(ToolError::Respond(if zh {
            format!("{name} 有几个容器（{list}）；请说明是哪一个")
        } else {
            format!("{name} has several containers ({list}); say which one")
        })),
        None => Ok(None),
    }
}

/// Reads typed arguments; the registry has already checked them against the schema.
pub(super) fn arguments<T: serde::de::DeserializeOwned>(
    arguments: serde_json::Value,
) -> Result<T, ToolError> {
    serde_json::from_value(arguments)
        .map_err(|e| ToolError::Respond(format!("reading the arguments: {e}")))
}
