//! `open`: the operator's page of a running receiver, in a browser.

use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::output::{Format, Output, note};
use clap::Args;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver open
  pylon-receiver open --print
  pylon-receiver open --config /etc/pylon-receiver.toml

BROWSER names the program that opens it. Where there is neither that nor a screen, the address is printed alone.";

/// Open the page on which you see and mend everything, in a browser
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct OpenArgs {
    /// Only print the page's address
    #[arg(long)]
    print: bool,

    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(args: &OpenArgs, out: &mut Output) -> Result<(), Fault> {
    let page = args.receiver.page().await?;
    match out.format() {
        Format::Text => out.line(page.as_str())?,
        Format::Json => out.json(&json!({ "page": page.as_str() }))?,
    }
    if !args.print
        && has_screen()
        && let Err(error) = opener::open_browser(page.as_str())
    {
        note(&format!("no browser could be started: {error}; open the address yourself"));
    }
    Ok(())
}

/// Whether a browser would be seen: without a screen, a browser for terminals would be started.
fn has_screen() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(not(target_os = "linux")) || ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set)
}
