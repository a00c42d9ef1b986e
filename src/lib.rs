//! kubemate: a GitOps ChatOps assistant for Kubernetes.
//!
//! The modules below are listed in reading order; dependencies point upwards in this list only
//! (`tests/it/tidy.rs` holds the table of allowed edges).

pub mod domain;

// seams: trait + types + error in x.rs, adapters in x/
pub mod embedder;
pub mod forge;
pub mod model;
pub mod store;
pub mod tool;

// infrastructure with a lower seam of its own, so no trait
pub mod cluster;
pub mod prompt;
pub mod worktree;

// logic
pub mod agent;
pub mod chatops;
pub mod delivery;
pub mod gitops;
pub mod policy;
pub mod reconcile;
pub mod review;

// entry points and wiring
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod sandbox;
pub mod server;
pub mod telemetry;
