//! How many threads compute, and how they wait. Candle's own threads spin until the slowest one has finished: as soon
//! as other processes want a core, most of the time is spent waiting. So candle is told to use one thread, and the
//! work is shared among threads that sleep when they have nothing to do (see [`super::matrix`]).

use std::io;

/// Candle reads its number of threads from this variable, and from nowhere else.
const VARIABLE: &str = "CANDLE_NUM_THREADS";

/// Starts the program again with the variable set, unless it is set already; call it first in `main`. A process
/// cannot safely change its own environment, and candle has no other setting.
///
/// # Errors
/// When the program cannot be started again; it can run on as it is, slower on a busy machine.
pub fn restart_with_own_threads() -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of candle, not of ours, before there is a configuration"
    )]
    let set = std::env::var_os(VARIABLE).is_some();
    if set {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        let mut arguments = std::env::args_os();
        let mut again = std::process::Command::new(std::env::current_exe()?);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // returns only when it failed
        Err(again.args(arguments).env(VARIABLE, "1").exec())
    }
    #[cfg(not(unix))]
    Ok(())
}

/// The threads that compute.
pub(super) fn pool(threads: Option<usize>) -> io::Result<rayon::ThreadPool> {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let threads =
        threads.unwrap_or_else(|| usable.min(candle_core::utils::get_num_threads())).max(1);
    let builder =
        rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("model-{n}"));
    builder.build().map_err(io::Error::other)
}
