//! The `session3` program: parses the command line, sets up the log, and runs one module of
//! `commands`.

#![forbid(unsafe_code)]

mod commands;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use commands::output;

/// The allocator of the whole program. A request makes some hundred allocations, and they
/// may happen on any thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        // Otherwise the subscriber reports a failed write on standard error, and panics if
        // standard error is closed.
        .log_internal_errors(false)
        .init();
    match cli.run().await {
        Ok(status) => status,
        // The reader of a pipe, such as `head`, has closed it: this is no failure.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
