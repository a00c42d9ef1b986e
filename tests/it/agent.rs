//! The agent: tables of messages in three worlds, conversations, and models that misbehave.

mod fake;
mod models;
mod tables;
mod tools;
