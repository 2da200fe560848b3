//! The outbox-relay worker.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    outbox_relay::cli::run(&arguments, &mut std::io::stdout()).await
}
