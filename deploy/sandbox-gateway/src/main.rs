//! The sandbox gateway as a program of its own.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    sandbox_gateway::run().await
}
