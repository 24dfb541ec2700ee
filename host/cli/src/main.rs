//! The `session3` program.

#![forbid(unsafe_code)]

mod commands;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use commands::output;

/// A request makes some hundred allocations, on whichever thread it is.
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
        // It would say so on standard error, and panic.
        .log_internal_errors(false)
        .init();
    match cli.run().await {
        Ok(status) => status,
        // Whoever read the output has seen enough.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
