//! The change loop: contract suites of its seams, and changes driven from the front against the sandbox.

mod changes;
mod drift;
mod forge;
mod kill;
mod store;
mod sync;
mod world;
