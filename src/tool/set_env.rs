//! Sets or removes environment variables of a container.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    target::{Target, arguments, container},
};
use crate::domain::Operation;

/// Sets or removes environment variables of a container.
pub(super) struct SetEnv;

#[derive(Deserialize)]
struct Arguments {
    #[serde(flatten)]
    target: Target,
    container: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    unset: Vec<String>,
}

#[async_trait]
impl Tool for SetEnv {
    fn name(&self) -> &'static str {
        "set_env"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let workload = input.target.find(context)?;
        let container = container(context, workload, input.container)?;
        let target = workload.object.clone();
        let Arguments { set, unset, .. } = input;
        Ok(ToolOutput::Change(vec![Operation::SetEnv { target, container, set, unset }]))
    }
}
