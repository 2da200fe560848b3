//! stock-svc as a process of its own.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    stock_svc::run().await
}
