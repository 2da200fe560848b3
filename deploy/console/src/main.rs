#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("console", console::run().await)
}
