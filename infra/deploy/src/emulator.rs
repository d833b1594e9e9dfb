//! `ministack`, the emulator of AWS, on this machine only.
//!
//! Invariant: it listens on 127.0.0.1, knows nothing of the environment that this program was started in, and ends with
//! the value that started it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::tool;

/// How often, and how long apart, it is asked whether it is ready.
const LOOKS_MAX: u32 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often, and how long apart, an emulator that was told to end is looked at before it is ended by force.
const ENDING_LOOKS_MAX: u32 = 50;
const ENDING_LOOK_EVERY: Duration = Duration::from_millis(100);
/// What it answers by itself, of whatever AWS has.
const HEALTH: &str = "/_ministack/health";
/// The keys of its root. They open nothing else.
pub(crate) const ROOT_KEY: &str = "test";
/// What of this program's environment its own processes need: nothing but where programs are found.
const PATH: &str = "PATH";

/// What a started emulator is told.
#[derive(Debug, Clone)]
pub(crate) struct Start<'a> {
    /// The region that its ARNs name.
    pub(crate) region: &'a str,
    /// The port; a free one where it is not said.
    pub(crate) port: Option<u16>,
    /// Whether it refuses what a role does not allow.
    pub(crate) enforces_roles: bool,
}

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Emulator {
    process: Child,
    /// Where it answers.
    pub(crate) endpoint: String,
}

impl Emulator {
    /// Installs it where it is missing, starts it, and waits until it is ready.
    pub(crate) async fn start(root: &Path, start: &Start<'_>) -> anyhow::Result<Self> {
        let programs = tool::emulator(root)?;
        let port = match start.port {
            Some(port) => port,
            None => free_port()?,
        };
        let home = root.join("target/emulator").join(port.to_string());
        std::fs::create_dir_all(&home).with_context(|| format!("{} could not be made", home.display()))?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let log = home.join("log");
        let process = command(&programs, &home, &endpoint, port, start)
            .stdin(Stdio::null())
            .stdout(file(&log)?)
            .stderr(file(&log)?)
            .spawn()
            .context("the emulator could not be started")?;
        let mut emulator = Self { process, endpoint };
        emulator.wait(port, &log).await?;
        Ok(emulator)
    }

    async fn wait(&mut self, port: u16, log: &Path) -> anyhow::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for _ in 0..LOOKS_MAX {
            if let Some(status) = self.process.try_wait()? {
                bail!("the emulator ended at once ({status}); what it said is in {}", log.display());
            }
            if is_ready(address) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the emulator is not ready at {address} after a minute; what it said is in {}", log.display())
    }

    /// Tells it to end and waits for that, so that its functions end with it.
    fn end(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
            && kill_process(pid, Signal::TERM).is_ok()
        {
            for _ in 0..ENDING_LOOKS_MAX {
                match self.process.try_wait() {
                    Ok(None) => wait_a_little(),
                    Ok(Some(_)) | Err(_) => return,
                }
            }
        }
        // It may have ended at this moment; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a value that is dropped cannot wait in another way")]
fn wait_a_little() {
    std::thread::sleep(ENDING_LOOK_EVERY);
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// The process. Functions inherit its whole environment, so it gets none but what stands here.
fn command(programs: &Path, home: &Path, endpoint: &str, port: u16, start: &Start<'_>) -> Command {
    let mut command = Command::new(programs.join("ministack"));
    command.env_clear().envs(std::env::var_os(PATH).map(|path| (PATH, path)));
    command
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        .env("AUTH", if start.enforces_roles { "true" } else { "false" })
        .env("AWS_ACCESS_KEY_ID", ROOT_KEY)
        .env("AWS_SECRET_ACCESS_KEY", ROOT_KEY)
        .env("AWS_DEFAULT_REGION", start.region)
        // The functions get the endpoint from the emulator's own environment, and from nowhere else.
        .env("AWS_ENDPOINT_URL", endpoint);
    command
}

fn file(path: &Path) -> anyhow::Result<std::fs::File> {
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("{} could not be opened", path.display()))
}

/// Whether it says that it is ready: a port may listen before that, or be another program's.
fn is_ready(address: SocketAddr) -> bool {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, LOOK_EVERY)?;
        stream.set_read_timeout(Some(LOOK_EVERY * 10))?;
        write!(stream, "GET {HEALTH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 64];
        let read = stream.read(&mut head)?;
        Ok(String::from_utf8_lossy(&head[..read]).into_owned())
    };
    answer().is_ok_and(|head| head.split(' ').nth(1) == Some("200"))
}

/// The address of an emulator that runs already.
///
/// # Errors
///
/// Where it is not one of this machine: what is only for an emulator must never reach anything else.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let rest = text.strip_prefix("http://");
    let port =
        rest.and_then(|rest| rest.strip_prefix("127.0.0.1:").or_else(|| rest.strip_prefix("localhost:")));
    match port.map(str::parse::<u16>) {
        Some(Ok(port)) => Ok(format!("http://127.0.0.1:{port}")),
        Some(Err(_)) | None => {
            Err("expected an address of this machine, such as http://127.0.0.1:4566".to_owned())
        }
    }
}

/// A port that nobody listens on at this moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port of this machine is free")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_only_ever_on_this_machine() {
        assert_eq!(address("http://localhost:4566/"), Ok("http://127.0.0.1:4566".to_owned()));
        for bad in
            ["https://127.0.0.1:4566", "http://10.0.0.1:4566", "http://127.0.0.1.evil.example:80", "4566"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_that_is_another_programs_is_not_taken_for_the_emulator() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = other.local_addr().expect("an address");
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = other.accept().expect("a caller");
            let mut asked = [0; 256];
            let _ = stream.read(&mut asked).expect("a question");
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").expect("an answer");
        });
        assert!(!is_ready(address));
        answers.join().expect("it answered");
        assert!(!is_ready(address), "nobody listens any more");
    }
}
