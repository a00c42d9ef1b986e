//! Exit codes, documented in `docs/cli.md`.

use crate::client::ClientError;

/// Done.
pub const OK: u8 = 0;
/// Something failed.
pub const FAILED: u8 = 1;
/// The request was refused, or the operator may not do it.
pub const REFUSED: u8 = 3;
/// kubemate asked back; answer in the same thread.
pub const CLARIFY: u8 = 4;
/// The change ended without health (degraded, stale, rejected or failed).
pub const UNHEALTHY: u8 = 5;
/// The server cannot be reached.
pub const UNREACHABLE: u8 = 6;

/// The code of an error.
#[must_use]
pub fn of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => UNREACHABLE,
        Some(ClientError::Refused { status: 401 | 403 | 409 | 422, .. }) => REFUSED,
        _ => FAILED,
    }
}
