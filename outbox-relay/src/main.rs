//! The outbox-relay worker.

use std::process::ExitCode;

use outbox_relay::republish::Stopped;

/// As a shell has it for what ended by SIGINT.
const STOPPED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = outbox_relay::cli::run(&arguments, &mut service_kit::exit::stdout()).await;
    let stopped = outcome.as_ref().is_err_and(|error| error.is::<Stopped>());
    let code = service_kit::exit::code("outbox-relay", outcome);
    if stopped { ExitCode::from(STOPPED) } else { code }
}
