//! The outbox-relay worker.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    service_kit::exit::code("outbox-relay", outbox_relay::cli::run(&arguments, &mut std::io::stdout()).await)
}
