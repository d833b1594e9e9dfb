//! `cargo puntual up`: the whole product on this machine, until it is told to end; and `--advance`, which moves the clock
//! of one that runs.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use clap::Args;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::demo;
use crate::product::{self, ADVANCE_MAX, Options};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Serves the API, schedules, queues and senders on this machine; messages stay in an outbox.
#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// The folder of database, queues, uploads and messages.
    #[arg(long, default_value = "puntual-up")]
    folder: PathBuf,
    /// The port on 127.0.0.1; any free one for 0.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Sets the clock, such as 2026-11-16T06:00 or 2026-11-16T06:00:00-05:00. It stands still until --advance moves it.
    #[arg(long)]
    clock: Option<String>,
    /// The time zone of a --clock without an offset.
    #[arg(long, default_value = "America/Bogota")]
    zone: Tz,
    /// The policy of the tenants that follow its id; the default one where it is not said.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Moves the clock of the product that runs in the folder, such as 2h, 30m or 1d, and waits for what happens then.
    #[arg(long, conflicts_with_all = ["port", "clock", "zone", "policy"], value_parser = span)]
    advance: Option<TimeDelta>,
}

pub(crate) async fn up(arguments: UpArguments) -> anyhow::Result<ExitCode> {
    if let Some(by) = arguments.advance {
        return advance(product::served_at(&arguments.folder)?, by).await;
    }
    let clock = arguments.clock.as_deref().map(|text| moment(text, arguments.zone)).transpose()?;
    let policy = match &arguments.policy {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
        }
        None => demo::POLICY.to_owned(),
    };
    let UpArguments { folder, port, .. } = arguments;
    product::serve(Options { folder, port, clock, policy }, told).await?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "whoever started it needs the address")]
fn told(address: SocketAddr, now: DateTime<Utc>) {
    println!("Listening   http://{address}");
    println!("Clock       {now}");
}

/// Moves the clock of a running product.
#[expect(clippy::print_stdout, reason = "the moment is what the command is for")]
async fn advance(address: SocketAddr, by: TimeDelta) -> anyhow::Result<ExitCode> {
    let body = serde_json::json!({ "advance_seconds": by.num_seconds() }).to_string();
    let request = format!(
        "POST /local/clock HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("nothing listens on {address}; expected `cargo puntual up` to run"))?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await.context("the answer broke off")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let answer: Value = serde_json::from_str(body).context("the answer cannot be read")?;
    if let Some(problem) = answer["problem"].as_str() {
        bail!("{problem}");
    }
    let (now, messages) = (answer["now"].as_str().unwrap_or_default(), &answer["messages"]);
    println!("Clock       {now}; {messages} messages of the queues were handled on the way");
    Ok(ExitCode::SUCCESS)
}

/// A moment with an offset, or the local time of a zone.
fn moment(text: &str, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&Utc));
    }
    let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let local =
        local.with_context(|| format!("{text} is no moment; expected one such as 2026-11-16T06:00"))?;
    let at = local.and_local_timezone(zone).earliest();
    let at =
        at.with_context(|| format!("{text} is skipped in {zone}; expected an hour that its clocks show"))?;
    Ok(at.with_timezone(&Utc))
}

/// A span such as 2h, of at most [`ADVANCE_MAX`].
fn span(text: &str) -> Result<TimeDelta, String> {
    let expected = || format!("expected a number and m, h or d, up to {}d", ADVANCE_MAX.num_days());
    let number = text.get(..text.len().saturating_sub(1)).and_then(|number| number.parse::<u32>().ok());
    let number = i64::from(number.ok_or_else(expected)?);
    let span = match text.chars().next_back() {
        Some('m') => TimeDelta::try_minutes(number),
        Some('h') => TimeDelta::try_hours(number),
        Some('d') => TimeDelta::try_days(number),
        Some(_) | None => None,
    };
    span.filter(|span| *span <= ADVANCE_MAX).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_or_refused() {
        assert_eq!(span("2h").unwrap(), TimeDelta::hours(2));
        assert_eq!(span("90m").unwrap(), TimeDelta::minutes(90));
        assert_eq!(span("31d").unwrap(), ADVANCE_MAX);
        for wrong in ["", "h", "2", "-1h", "32d", "1w", "2 h", "é", "4294967296d"] {
            assert!(span(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }

    #[test]
    fn a_moment_has_an_offset_or_is_local() {
        let at = moment("2026-11-16T06:00", chrono_tz::America::Bogota).unwrap();
        assert_eq!(at.to_rfc3339(), "2026-11-16T11:00:00+00:00");
        assert_eq!(moment("2026-11-16T06:00:00-05:00", chrono_tz::UTC).unwrap(), at);
        assert!(moment("tomorrow", chrono_tz::UTC).is_err());
        assert!(moment("2026-03-08T02:30", chrono_tz::America::New_York).is_err(), "no clock shows it");
    }
}
