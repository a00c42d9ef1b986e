//! The agent: tables of messages in three worlds, conversations, and models that misbehave.

mod fake;
mod meaning;
mod models;
mod tables;
mod tools;
