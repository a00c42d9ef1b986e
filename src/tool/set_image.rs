//! Sets a container's image, or only its tag.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    target::{Target, arguments, container},
};
use crate::domain::Operation;

/// Sets a container's image, or only its tag.
pub(super) struct SetImage;

#[derive(Deserialize)]
struct Arguments {
    #[serde(flatten)]
    target: Target,
    container: Option<String>,
    image: String,
}

#[async_trait]
impl Tool for SetImage {
    fn name(&self) -> &'static str {
        "set_image"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let workload = input.target.find(context)?;
        let container = container(context, workload, input.container)?;
        let target = workload.object.clone();
        Ok(ToolOutput::Change(vec![Operation::SetImage { target, container, image: input.image }]))
    }
}
