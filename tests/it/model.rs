//! The seam to models: one contract for every adapter, and what each adapter does when its peer misbehaves.

mod candle;
mod contract;
mod download;
pub(crate) mod fake_servers;
mod files;
mod ollama;
mod openai;
mod real_llama;
mod real_ollama;
mod scripted;
mod tiny;

use kubemate::model::{ChatMessage, ChatRequest, ChatRole, Output, ToolSchema};
use serde_json::json;

/// Two tools of a made-up shop.
fn tools() -> Vec<ToolSchema> {
    vec![
        ToolSchema {
            name: "scale".into(),
            description: "Sets the number of replicas of a workload".into(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "workload": {"type": "string", "enum": ["api", "web"], "x-live": true},
                    "replicas": {"type": "integer", "minimum": 0, "maximum": 50},
                },
                "required": ["workload", "replicas"],
                "additionalProperties": false,
            }),
        },
        ToolSchema {
            name: "restart".into(),
            description: "Restarts a workload".into(),
            parameters: json!({
                "type": "object",
                "properties": {"workload": {"type": "string", "enum": ["api", "web"], "x-live": true}},
                "required": ["workload"],
                "additionalProperties": false,
            }),
        },
    ]
}

fn say(role: ChatRole, content: &str) -> ChatMessage {
    ChatMessage { role, content: content.into() }
}

/// A request for a call of one of [`tools`].
fn wants_call(said: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![say(ChatRole::System, "You operate a cluster."), say(ChatRole::User, said)],
        tools: tools(),
        allowed: Vec::new(),
        output: Output::ToolCall,
        max_tokens: 100,
        temperature: 0.0,
    }
}

/// A request for text.
fn wants_text(said: &str) -> ChatRequest {
    ChatRequest { output: Output::Text, tools: Vec::new(), ..wants_call(said) }
}
