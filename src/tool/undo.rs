//! Reverts a whole earlier change.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{Tool, ToolContext, ToolError, ToolOutput, target::arguments};
use crate::domain::{ChangeId, Operation};

/// Reverts a whole earlier change.
pub(super) struct Undo;

#[derive(Deserialize)]
struct Arguments {
    change: String,
}

#[async_trait]
impl Tool for Undo {
    fn name(&self) -> &'static str {
        "undo"
    }

    async fn call(&self, _context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let change = ChangeId(input.change);
        Ok(ToolOutput::Change(vec![Operation::Undo { change }]))
    }
}
