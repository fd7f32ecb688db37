//! `completions`: prints completions for a shell.

use crate::fault::Fault;
use crate::print::output::Output;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver completions bash > /etc/bash_completion.d/pylon-receiver
  pylon-receiver completions zsh > ~/.zfunc/_pylon-receiver
  pylon-receiver completions fish > ~/.config/fish/completions/pylon-receiver.fish";

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Name of the shell
    shell: Shell,
}

pub(crate) fn run<C: CommandFactory>(args: &CompletionsArgs, out: &mut Output) -> Result<(), Fault> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "pylon-receiver", &mut script);
    out.bytes(&script)
}
