//! The snippets, compiled and run: what the kernel then says of the socket is what was advised.
//!
//! A snippet whose tool is missing says SKIPPED; `scripts/check-snippets` brings every tool and reads every option. Nothing
//! outlives its test: programs end by themselves or with it, files lie in a temporary folder.

use super::ask::{json, skipped};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const QUESTION: &str = "--connections 1k --detect-within 30s --link mobile --published";
/// On, idle, interval, count, user timeout: what that question leads to.
const ADVISED: &str = "1 7 5 4 26500";

fn snippet(name: &str) -> String {
    let advice = json(&format!("{QUESTION} --for {name}"));
    let kernel = &advice["settings"]["keepalive"];
    let numbers = ["idle_s", "interval_s", "count", "user_timeout_ms"];
    let numbers: Vec<_> = numbers.iter().map(|key| kernel[*key].to_string()).collect();
    assert_eq!(format!("1 {}", numbers.join(" ")), ADVISED);
    advice["snippets"][name].as_str().unwrap().to_owned()
}

/// Whether `tool` is there; says SKIPPED when not.
fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push(PathBuf::from("/usr/sbin"));
    let there = folders.iter().any(|folder| folder.join(tool).is_file());
    if !there {
        skipped(&format!("no `{tool}` here, so its snippet is not tried"));
    }
    there
}

/// Runs a command that must succeed, and gives what it printed.
fn run(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {stderr}");
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

fn write(folder: &Path, name: &str, parts: &[&str]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, parts.join("\n")).unwrap();
    path
}

#[test]
fn c_compiles_without_a_warning_and_sets_what_it_says() {
    if !has("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let main = r#"
#include <stdio.h>
static int get(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    getsockopt(fd, level, name, &value, &length);
    return value;
}
int main(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (set_keepalive(-1) != -1 || set_keepalive(fd) != 0)
        return 1;
    printf("%d %d %d %d %d\n", get(fd, SOL_SOCKET, SO_KEEPALIVE),
           get(fd, IPPROTO_TCP, TCP_KEEPIDLE), get(fd, IPPROTO_TCP, TCP_KEEPINTVL),
           get(fd, IPPROTO_TCP, TCP_KEEPCNT), get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
    return 0;
}
"#;
    let source = write(folder.path(), "snippet.c", &[&snippet("c"), main]);
    let program = folder.path().join("snippet");
    let flags = ["-Wall", "-Wextra", "-Werror", "-o"];
    run(Command::new("cc").args(flags).arg(&program).arg(&source));
    assert_eq!(run(&mut Command::new(&program)), ADVISED);
}

#[test]
fn python_sets_what_it_says() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let main = r#"
with socket.create_server(("127.0.0.1", 0)) as sock:
    set_keepalive(sock)
    on = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    print(on, *(sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names))
"#;
    let source = write(folder.path(), "snippet.py", &[&snippet("python"), main]);
    assert_eq!(run(Command::new("python3").arg("-B").arg(source)), ADVISED);
}

/// The builds of socket2 that lie beside this test.
fn socket2() -> Vec<PathBuf> {
    let deps = std::env::current_exe().unwrap();
    let entries = fs::read_dir(deps.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libsocket2-") && name.ends_with(".rlib")
        })
        .collect()
}

#[test]
fn rust_compiles_and_sets_what_it_says() {
    if !has("rustc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let main = r#"
fn main() -> std::io::Result<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    set_keepalive(&listener)?;
    let socket = SockRef::from(&listener);
    println!(
        "{} {} {} {} {}",
        u8::from(socket.keepalive()?),
        socket.tcp_keepalive_time()?.as_secs(),
        socket.tcp_keepalive_interval()?.as_secs(),
        socket.tcp_keepalive_retries()?,
        socket.tcp_user_timeout()?.unwrap().as_millis()
    );
    Ok(())
}
"#;
    let source = write(folder.path(), "snippet.rs", &[&snippet("rust"), main]);
    let program = folder.path().join("snippet");
    // Builds of other compilers or features may lie there too.
    let mut said = Vec::new();
    for library in socket2() {
        let compiled = Command::new("rustc")
            .args(["--edition", "2024", "-D", "warnings", "-o"])
            .arg(&program)
            .arg(&source)
            .arg(format!("--extern=socket2={}", library.display()))
            .arg(format!(
                "-Ldependency={}",
                library.parent().unwrap().display()
            ))
            .output()
            .unwrap();
        if compiled.status.success() {
            assert_eq!(run(&mut Command::new(&program)), ADVISED);
            return;
        }
        said.push(String::from_utf8_lossy(&compiled.stderr).into_owned());
    }
    panic!("no build of socket2 takes it: {said:#?}");
}

#[test]
fn java_compiles_and_sets_what_it_says() {
    if !has("javac") || !has("java") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // An unconnected Socket has no descriptor to set options on.
    let main = r#"
class Main {
    public static void main(String[] none) throws IOException {
        try (var server = new java.net.ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress());
             var socket = new Socket(server.getInetAddress(), server.getLocalPort())) {
            Keepalive.set(socket);
            System.out.println((socket.getKeepAlive() ? 1 : 0)
                + " " + socket.getOption(ExtendedSocketOptions.TCP_KEEPIDLE)
                + " " + socket.getOption(ExtendedSocketOptions.TCP_KEEPINTERVAL)
                + " " + socket.getOption(ExtendedSocketOptions.TCP_KEEPCOUNT));
        }
    }
}
"#;
    let source = write(folder.path(), "Keepalive.java", &[&snippet("java"), main]);
    run(Command::new("javac")
        .arg("-d")
        .arg(folder.path())
        .arg(source));
    let printed = run(Command::new("java")
        .arg("-cp")
        .arg(folder.path())
        .arg("Main"));
    // It has no name for the user timeout.
    assert_eq!(Some(printed.as_str()), ADVISED.strip_suffix(" 26500"));
}

#[test]
fn node_starts_the_kernels_timer_with_the_idle_time() {
    if !has("node") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Node reads no option back, but the kernel shows the timer: 02 is keepalive's, then hundredths of a second.
    let main = r#"
const net = require("net");
const server = net.createServer().listen(0, "127.0.0.1", () => {
  const socket = net.connect(server.address().port, "127.0.0.1", () => {
    setKeepalive(socket);
    const port = socket.localPort.toString(16).toUpperCase().padStart(4, "0");
    const rows = require("fs").readFileSync("/proc/self/net/tcp", "utf8").split("\n");
    const row = rows.map((row) => row.trim().split(/\s+/))
      .find((row) => row[1] && row[1].endsWith(":" + port) && row[3] === "01");
    console.log(row[5]);
    process.exit(0);
  });
});
"#;
    let source = write(folder.path(), "snippet.js", &[&snippet("node"), main]);
    let printed = run(Command::new("node").arg(source));
    let left = printed.strip_prefix("02:").unwrap();
    let left = u64::from_str_radix(left, 16).unwrap();
    assert!((600..=700).contains(&left), "{printed}");
}

#[test]
fn systemd_knows_every_key() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = snippet("systemd") + "ListenStream=127.0.0.1:7\n";
    let unit = write(folder.path(), "advised.socket", &[&unit]);
    write(
        folder.path(),
        "advised.service",
        &["[Service]\nExecStart=/bin/true\n"],
    );
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Where no manager runs it may complain of much else.
    assert!(!said.contains("advised.socket:"), "{said}");
}

#[test]
fn haproxy_takes_the_configuration() {
    if !has("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "haproxy.cfg", &[&snippet("haproxy")]);
    run(Command::new("haproxy").args(["-c", "-f"]).arg(file));
}

#[test]
fn nginx_takes_the_configuration() {
    if !has("nginx") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let directives = snippet("nginx");
    // It opens the port even to check; one the kernel has just given is free.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let server = directives.replace("listen 443 ssl", &format!("listen 127.0.0.1:{port}"));
    let scratch = folder.path().display();
    let text = format!(
        "pid {scratch}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\nserver {{\n{server}\n}}\n}}\n"
    );
    let file = write(folder.path(), "nginx.conf", &[&text]);
    let mut nginx = Command::new("nginx");
    nginx
        .arg("-t")
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(file);
    // Who is not root may be refused its own folders, which is after the syntax.
    let said = String::from_utf8_lossy(&nginx.output().unwrap().stderr).into_owned();
    assert!(said.contains("syntax is ok"), "{said}");
}

#[test]
fn postgresql_takes_the_configuration() {
    if !has("postgres") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "postgresql.conf", &[&snippet("postgresql")]);
    // -C reads the file and starts nothing, so it needs no cluster and may be root.
    let names = [
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_keepalives_count",
        "tcp_user_timeout",
    ];
    let read = names.map(|name| {
        let mut postgres = Command::new("postgres");
        run(postgres.args(["-C", name, "-D"]).arg(folder.path()))
    });
    assert_eq!(format!("1 {}", read.join(" ")), ADVISED);
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn redis_starts_the_kernels_timer_with_its_period() {
    if !has("redis-server") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let text = snippet("redis");
    let own = format!("bind 127.0.0.1\nport {port}\nsave \"\"\n");
    let file = write(folder.path(), "redis.conf", &[&text, &own]);
    let mut redis = Running(
        Command::new("redis-server")
            .arg(file)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(redis.0.stdout.take().unwrap()).lines();
    let ready = lines.any(|line| line.unwrap().contains("Ready to accept connections"));
    assert!(ready, "redis-server ended");
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // An answer shows that it has accepted, and has set what it sets.
    client.write_all(b"PING\r\n").unwrap();
    client.read_exact(&mut [0; 7]).unwrap();
    // 02 is keepalive's timer, then hundredths of a second; another runs until the answer is acknowledged.
    let end = format!(":{port:04X}");
    let timer = (0..10_000_u32).find_map(|_| {
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        let mut rows = table.lines().map(|line| line.split_whitespace().collect());
        let row: Vec<_> = rows.find(|row: &Vec<_>| row[1].ends_with(&end) && row[3] == "01")?;
        row[5].strip_prefix("02:").map(str::to_owned)
    });
    let left = u64::from_str_radix(&timer.expect("no keepalive timer runs"), 16).unwrap();
    let period = text
        .lines()
        .find_map(|line| line.strip_prefix("tcp-keepalive "));
    let period: u64 = period.unwrap().parse().unwrap();
    // Of the period by which 30 s are kept; by Redis's own default it would be 300 s.
    assert_eq!(period, 15);
    assert!((1..=period * 100).contains(&left), "{left}");
}
