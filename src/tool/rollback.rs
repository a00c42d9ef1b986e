//! Brings one workload back to an earlier revision of the repository.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    target::{Target, arguments},
};
use crate::domain::Operation;

/// Brings one workload back to an earlier revision of the repository.
pub(super) struct Rollback;

#[derive(Deserialize)]
struct Arguments {
    #[serde(flatten)]
    target: Target,
    revision: Option<String>,
}

#[async_trait]
impl Tool for Rollback {
    fn name(&self) -> &'static str {
        "rollback"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let target = input.target.find(context)?.object.clone();
        Ok(ToolOutput::Change(vec![Operation::Rollback { target, revision: input.revision }]))
    }
}
