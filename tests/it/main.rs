//! The integration tests: front door, seams, tidy.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod agent;
mod app;
mod delivery;
mod edit;
mod embedder;
mod evaluation;
mod explain;
mod front_door;
mod kubectl;
mod model;
mod program;
mod propose;
mod render;
mod sandbox;
mod sandbox_control;
mod server;
mod tidy;
mod tools;
