//! The `session3` program: parses the command line, sets up the log, and runs one module of
//! `commands`.

#![forbid(unsafe_code)]

mod commands;
mod log;
mod log_options;

use std::env;
use std::io;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

use commands::{Cli, output, usage_error};

/// The allocator of the whole program. A request makes some hundred allocations, and they
/// may happen on any thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the end of the program waits for work that cannot be interrupted, such as a call
/// of a sweep to the file system.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// The smallest number of threads for requests.
const MIN_THREADS: usize = 2;

fn main() -> ExitCode {
    match Cli::read(env::args_os()).and_then(run) {
        Ok(status) => status,
        // The reader of a pipe, such as `head`, has closed it: this is no failure.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(error) if error.use_stderr() => {
                let command = env::args_os().nth(1);
                let command = command.as_ref().and_then(|command| command.to_str());
                output::print_error(&usage_error::in_one_line(&error, command));
                ExitCode::from(2)
            }
            Ok(error) => error.exit(),
            Err(error) => {
                output::print_error(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        },
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let log = log_options::start(cli.log_options())?;
    let runtime = runtime()?;
    let result = runtime.block_on(cli.run());
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    log.finish();
    result
}

/// Creates the runtime, with at least two threads: one of them serves what needs no session
/// while a stalled disk blocks the others.
fn runtime() -> io::Result<Runtime> {
    let threads = available_parallelism().map_or(MIN_THREADS, NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(threads.max(MIN_THREADS))
        // A guest that computes occupies a thread for some milliseconds at a time. With tokio's
        // default, a busy thread looks for new requests after 61 of these. Short requests are not
        // measurably slower for it.
        .event_interval(1)
        .global_queue_interval(2)
        .enable_all()
        .build()
}
