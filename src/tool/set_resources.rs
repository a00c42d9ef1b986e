//! Sets a container's requests and limits; what is not named stays.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    target::{Target, arguments, container},
};
use crate::domain::Operation;

/// Sets a container's requests and limits; what is not named stays.
pub(super) struct SetResources;

#[derive(Deserialize)]
struct Arguments {
    #[serde(flatten)]
    target: Target,
    container: Option<String>,
    #[serde(default)]
    requests: BTreeMap<String, String>,
    #[serde(default)]
    limits: BTreeMap<String, String>,
}

#[async_trait]
impl Tool for SetResources {
    fn name(&self) -> &'static str {
        "set_resources"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let workload = input.target.find(context)?;
        let container = container(context, workload, input.container)?;
        let target = workload.object.clone();
        let Arguments { requests, limits, .. } = input;
        Ok(ToolOutput::Change(vec![Operation::SetResources {
            target,
            container,
            requests,
            limits,
        }]))
    }
}
