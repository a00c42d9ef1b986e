//! Restarts a workload's pods, one after the other.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    target::{Target, arguments},
};
use crate::domain::Operation;

/// Restarts a workload's pods, one after the other.
pub(super) struct Restart;

#[derive(Deserialize)]
struct Arguments {
    #[serde(flatten)]
    target: Target,
}

#[async_trait]
impl Tool for Restart {
    fn name(&self) -> &'static str {
        "restart"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let target = input.target.find(context)?.object.clone();
        Ok(ToolOutput::Change(vec![Operation::Restart { target, at: context.now }]))
    }
}
