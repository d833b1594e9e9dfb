//! How long each function takes from its start to its first question for work, and how large it is.
//!
//! Invariant: nothing is measured but the function's own program. The other side is a stand-in for Lambda's Runtime API
//! on loopback: it hears the first `GET …/invocation/next`, never answers it, and the program is ended.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// How often each function is started. The first start fills the caches of the disk and is not counted.
const STARTS: usize = 31;
/// After this a function that has not asked for work is taken for broken.
const SECONDS_MAX: u64 = 10;
/// The budgets: the median of a start, and the sizes of the binary and of its zip.
const MEDIAN_MAX: Duration = Duration::from_millis(20);
const BINARY_BYTES_MAX: u64 = 8_000_000;
const ZIP_BYTES_MAX: u64 = 3_500_000;
/// The API carries a router and may be larger.
const API: &str = "http-api";
const API_BINARY_BYTES_MAX: u64 = 14_000_000;
const API_ZIP_BYTES_MAX: u64 = 6_000_000;
/// What Lambda asks for.
const NEXT: &str = "/2018-06-01/runtime/invocation/next";

/// What Lambda and the template set. The values only have to be there: nobody is called before there is work.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "none"),
    ("AWS_SECRET_ACCESS_KEY", "none"),
    ("AWS_LAMBDA_FUNCTION_NAME", "cold-start"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "none"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "none"),
    ("OPS_TABLE", "ops"),
    ("AUDIT_TABLE", "audit"),
    ("PLAN_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/1/plan"),
    ("EMAIL_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/1/email"),
    ("SMS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/1/sms"),
    ("SUPPRESSION_KEY", "a key of forty-three characters, as in AWS."),
    ("OPT_OUT_KEY", "a key of forty-three characters, as in AWS."),
    ("EVENT_TAG_KEY", "a key of forty-three characters, as in AWS."),
    ("SES_FROM", "pagos@lender.example"),
    ("SES_CONFIGURATION_SET", "puntual"),
    ("REPLY_TENANT", "default"),
    ("UPLOAD_BUCKET", "uploads"),
    ("SCHEDULE_GROUP", "puntual"),
    ("SCAN_FUNCTION_ARN", "arn:aws:lambda:us-east-1:1:function:puntual-scan-due"),
    ("SCHEDULE_ROLE_ARN", "arn:aws:iam::1:role/schedule"),
    ("SCHEDULE_DEAD_LETTER_ARN", "arn:aws:sqs:us-east-1:1:calls-dead"),
    ("PUNTUAL_LOG", "warn"),
];

/// What was measured of one function.
struct Measured {
    function: String,
    median: Duration,
    binary_bytes: u64,
    zip_bytes: u64,
}

impl Measured {
    fn keeps_its_budget(&self) -> bool {
        let (binary, zip) = match self.function.as_str() {
            API => (API_BINARY_BYTES_MAX, API_ZIP_BYTES_MAX),
            _ => (BINARY_BYTES_MAX, ZIP_BYTES_MAX),
        };
        self.median <= MEDIAN_MAX && self.binary_bytes <= binary && self.zip_bytes <= zip
    }
}

fn main() -> ExitCode {
    let binaries: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if binaries.is_empty() {
        eprintln!("no function was named; expected the paths of their programs");
        return ExitCode::FAILURE;
    }
    println!("| function | start to first question, median of {} | binary | zip | budget |", STARTS - 1);
    println!("|---|---|---|---|---|");
    let mut kept = true;
    for binary in &binaries {
        match measure(binary) {
            Ok(measured) => {
                let word = if measured.keeps_its_budget() { "kept" } else { "over" };
                kept &= measured.keeps_its_budget();
                println!(
                    "| `{}` | {:.1} ms | {:.2} MB | {:.2} MB | {word} |",
                    measured.function,
                    measured.median.as_secs_f64() * 1e3,
                    megabytes(measured.binary_bytes),
                    megabytes(measured.zip_bytes)
                );
            }
            Err(error) => {
                eprintln!("error: {}: {error}", binary.display());
                kept = false;
            }
        }
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn megabytes(bytes: u64) -> f64 {
    // Sizes of programs are far below what a float holds exactly.
    u32::try_from(bytes / 1_000).map_or(f64::INFINITY, |kilobytes| f64::from(kilobytes) / 1e3)
}

fn measure(binary: &Path) -> std::io::Result<Measured> {
    let function = binary.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut starts = (0..STARTS).map(|_| start(binary, &listener)).collect::<std::io::Result<Vec<_>>>()?;
    starts.remove(0);
    starts.sort();
    let bytes = std::fs::read(binary)?;
    Ok(Measured {
        function,
        median: starts[starts.len() / 2],
        binary_bytes: bytes.len() as u64,
        zip_bytes: zipped(&bytes)?,
    })
}

/// One start: how long it takes until the program asks for work.
fn start(binary: &Path, listener: &TcpListener) -> std::io::Result<Duration> {
    let mut command = Command::new(binary);
    command.env_clear().envs(ENVIRONMENT.iter().copied());
    command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let begun = now();
    let mut ended = Ended(command.spawn()?);
    let mut asked = first_question(listener, &mut ended.0)?;
    let taken = begun.elapsed();
    // Nobody waits for an answer any more.
    let _ = asked.flush();
    Ok(taken)
}

#[expect(clippy::disallowed_methods, reason = "a start is measured by the clock of this machine")]
fn now() -> Instant {
    Instant::now()
}

/// A process that ends with the value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the first question for work, and keeps the connection open.
fn first_question(listener: &TcpListener, process: &mut Child) -> std::io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let begun = now();
    while begun.elapsed() < Duration::from_secs(SECONDS_MAX) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line)?;
                if line.contains(NEXT) {
                    return Ok(stream);
                }
                return Err(std::io::Error::other(format!("it asked for {line:?}; expected {NEXT}")));
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
        if let Some(status) = process.try_wait()? {
            return Err(std::io::Error::other(format!("it ended ({status}) without asking for work")));
        }
    }
    Err(std::io::Error::other(format!("it did not ask for work within {SECONDS_MAX} seconds")))
}

fn zipped(binary: &[u8]) -> std::io::Result<u64> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", options)?;
    zip.write_all(binary)?;
    Ok(zip.finish()?.into_inner().len() as u64)
}
