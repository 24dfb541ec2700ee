//! The commands.

mod demo;

use clap::{Parser, Subcommand};

/// Sessions for web applications that run as WebAssembly components.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
}

impl Cli {
    /// Does what the command line says.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Demo(demo) => demo.run().await,
        }
    }
}
