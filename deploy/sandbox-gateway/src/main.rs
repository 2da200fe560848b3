//! The sandbox gateway as a program of its own.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("sandbox-gateway", sandbox_gateway::run().await)
}
