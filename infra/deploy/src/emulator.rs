//! `ministack`, the emulator of AWS, on this machine only.
//!
//! Invariant: it listens on 127.0.0.1 and ends with the value that started it.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::tool;

/// How often, and how long apart, it is asked whether it listens.
const LOOKS_MAX: u32 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Emulator {
    process: Child,
    /// Where it answers.
    pub(crate) endpoint: String,
}

impl Emulator {
    /// Installs it where it is missing, starts it on a free port, or on `port`, and waits until it listens.
    pub(crate) async fn start(root: &Path, port: Option<u16>) -> anyhow::Result<Self> {
        let programs = tool::emulator(root)?;
        let port = match port {
            Some(port) => port,
            None => free_port()?,
        };
        let endpoint = format!("http://127.0.0.1:{port}");
        let process = Command::new(programs.join("ministack"))
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // The functions get the endpoint from the emulator's own environment, and from nowhere else.
            .env("AWS_ENDPOINT_URL", &endpoint)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the emulator could not be started")?;
        let mut emulator = Self { process, endpoint };
        emulator.wait(port).await?;
        Ok(emulator)
    }

    async fn wait(&mut self, port: u16) -> anyhow::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for _ in 0..LOOKS_MAX {
            if let Some(status) = self.process.try_wait()? {
                let mut said = String::new();
                if let Some(mut errors) = self.process.stderr.take() {
                    errors.read_to_string(&mut said)?;
                }
                bail!("the emulator ended at once ({status}): {said}");
            }
            if TcpStream::connect_timeout(&address, LOOK_EVERY).is_ok() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the emulator does not listen on {address} after a minute")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody listens on at this moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port of this machine is free")?;
    Ok(listener.local_addr()?.port())
}
