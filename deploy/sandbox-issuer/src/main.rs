#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("sandbox-issuer", sandbox_issuer::run().await)
}
