// Connects to the port it is given, takes the snippet, and waits to be looked at.
fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    let stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}"))?;
    set_keepalive(&stream)?;
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}
