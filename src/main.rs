//! The `kubemate` program: parses the command line, runs the command, prints and sets the exit code.

use std::process::ExitCode;

use clap::Parser;
use kubemate::cli::{self, Cli};

fn main() -> ExitCode {
    // an error only means that the model in the process is slower on a busy machine
    let _ = kubemate::model::candle::restart_with_own_threads();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report(&format!("starting the runtime: {error}"));
            return ExitCode::from(cli::exit::FAILED);
        }
    };
    match runtime.block_on(cli::run(cli, &mut std::io::stdout())) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::from(cli::exit::of(&error))
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is where the program talks to its user")]
fn report(text: &str) {
    eprintln!("kubemate: {text}");
}
