//! Sets a workload's number of replicas.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    target::{Target, arguments},
};
use crate::domain::{Lang, Operation};

/// Sets a workload's number of replicas.
pub(super) struct Scale;

#[derive(Deserialize)]
struct Arguments {
    #[serde(flatten)]
    target: Target,
    replicas: u32,
}

#[async_trait]
impl Tool for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let workload = input.target.find(context)?;
        if workload.replicas.is_none() {
            let (name, kind) = (&workload.object.name, &workload.object.kind);
            return Err(ToolError::Respond(if context.lang == Lang::Zh {
                format!("{name} 是 {kind}，没有副本数可以调整")
            } else {
                format!("{name} is a {kind}, which has no number of replicas")
            }));
        }
        let target = workload.object.clone();
        Ok(ToolOutput::Change(vec![Operation::Scale { target, replicas: input.replicas }]))
    }
}
