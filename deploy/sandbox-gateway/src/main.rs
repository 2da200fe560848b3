#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("sandbox-gateway", sandbox_gateway::run().await)
}
