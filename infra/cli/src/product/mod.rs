//! The whole product in one process: the functions and the API of AWS over the embedded store, queues in a file, the
//! outbox, a scheduler and an issuer of tokens.
//!
//! Invariants: it listens on the loopback address only. It decides nothing: what it does not hand to a function is
//! transport. However it ends, the next start goes on where it was.

mod clock;
mod routes;
mod worker;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use channels::Outbox;
use chrono::{DateTime, Utc};
use domain::policy::Policy;
use http_api::identity::Authentication;
use http_api::identity::local::LocalTokens;
use http_api::uploads::Uploads;
use http_api::uploads::folder::Folder;
use runtime::decision_log::DecisionLog;
use runtime::local_queue::LocalQueues;
use runtime::schedule::{MemorySchedules, Schedules};
use serde::{Deserialize, Serialize};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

pub(crate) use self::clock::ProductClock;
use self::routes::{Local, routes};
use self::worker::{Inbox, PolicyText, Problems, Worker};
use crate::folder;
use crate::replay::checkpoint::refuse_folder;
use crate::stack::LocalFunctions;

pub(crate) use self::worker::ADVANCE_MAX;

/// The name of the file that says where a running product is served.
const ADDRESS: &str = "up.json";
/// How many uploads and orders wait for the worker before those who bring more wait themselves.
const INBOX_MAX: usize = 64;
/// How long open requests may take to end, in seconds, once the product was told to.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// How the product is started.
pub(crate) struct Options {
    /// Where everything lies.
    pub(crate) folder: PathBuf,
    /// The port; any free one for 0.
    pub(crate) port: u16,
    /// Where the clock is set to.
    pub(crate) clock: Option<DateTime<Utc>>,
    /// The text of the policy.
    pub(crate) policy: String,
}

/// Where a running product is served.
#[derive(Debug, Serialize, Deserialize)]
struct Served {
    address: SocketAddr,
}

/// Where the product of a folder is served.
pub(crate) fn served_at(folder: &Path) -> anyhow::Result<SocketAddr> {
    let path = folder.join(ADDRESS);
    let nobody =
        || format!("nothing is up in {}; expected `cargo puntual up` to run there", folder.display());
    let bytes = fs::read(&path).with_context(nobody)?;
    let Served { address } = serde_json::from_slice(&bytes).with_context(nobody)?;
    Ok(address)
}

/// Serves the product until it is told to end, by SIGINT or SIGTERM. `on_ready` hears the address and the moment.
pub(crate) async fn serve(
    options: Options,
    on_ready: impl FnOnce(SocketAddr, DateTime<Utc>),
) -> anyhow::Result<()> {
    let out = &options.folder;
    fs::create_dir_all(out).with_context(|| format!("the folder {} cannot be made", out.display()))?;
    let _lock = folder::lock(out)?;
    refuse_folder(out)?;
    let policy = Policy::parse(&options.policy)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .await
        .with_context(|| format!("127.0.0.1:{} cannot be listened on", options.port))?;
    let address = listener.local_addr()?;
    let clock = ProductClock::open(out, options.clock)?;
    let (stop, stopped) = watch::channel(false);
    let (router, worker, inbox) =
        parts(out, address, &clock, PolicyText { text: options.policy, policy }, &stopped).await?;

    folder::write_whole(&out.join(ADDRESS), &serde_json::to_vec(&Served { address })?)?;
    on_ready(address, clock.now());
    let work = async {
        let worked = worker.work(inbox, options.clock).await;
        stop.send_replace(true);
        worked
    };
    let ended = tokio::select! {
        (served, worked) = async { tokio::join!(answer(listener, router, stopped), work) } => served.and(worked),
        ended = told_twice(&stop) => ended,
    };
    fs::remove_file(out.join(ADDRESS)).with_context(|| format!("{ADDRESS} cannot be removed"))?;
    ended
}

/// The router, the worker, and what reaches the worker.
async fn parts(
    out: &Path,
    address: SocketAddr,
    clock: &ProductClock,
    policy: PolicyText,
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<(axum::Router, Worker, Inbox)> {
    let database = out.join(folder::DATABASE);
    let store = Store::file(&database)
        .with_context(|| format!("the database {} cannot be opened", database.display()))?
        .held_alone();
    store.create_tables().await.context("the tables cannot be made")?;
    let queues = LocalQueues::open(&out.join(folder::QUEUES), clock.now())?;
    let outbox = Outbox::file(out.join("messages.jsonl"))?;
    let memory = MemorySchedules::default();
    let schedules = Schedules::Memory(memory.clone());
    let tokens = LocalTokens::of_this_process();
    let problems = Problems::default();
    let uploads = out.join("uploads");
    let (tell, arrived) = mpsc::channel(INBOX_MAX);
    let (order, advances) = mpsc::channel(INBOX_MAX);
    let moment = clock.clone();
    let api = http_api::router(http_api::Deps {
        store: store.clone(),
        schedules: schedules.clone(),
        uploads: Uploads::Folder(Folder {
            path: uploads.clone(),
            served_at: format!("http://{address}"),
            tokens: tokens.clone(),
            arrived: tell,
        }),
        authentication: Authentication::Local(tokens.clone()),
        clock: Arc::new(move || moment.now()),
    });
    let local = Local {
        port: address.port(),
        tokens,
        clock: clock.clone(),
        schedules: memory.clone(),
        queues: queues.clone(),
        problems: problems.clone(),
        advances: order,
    };
    let worker = Worker {
        functions: LocalFunctions::over(&store, queues, &outbox, DecisionLog::Off, &schedules),
        store,
        schedules: memory,
        clock: clock.clone(),
        policy,
        uploads,
        problems,
        stop: stop.clone(),
    };
    Ok((routes(api, local), worker, Inbox { advances, arrived }))
}

/// Answers requests until the product is told to end, and those that are open then for a moment more.
async fn answer(
    listener: TcpListener,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut told = stopped.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error says that nobody is left who could say it.
        let _ = told.wait_for(|stop| *stop).await;
    });
    tokio::select! {
        served = server => served.context("the API stopped"),
        () = async {
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep(LAST_REQUESTS).await;
        } => Ok(()),
    }
}

/// Tells the product to end at the first signal, and ends it at the second.
async fn told_twice(stop: &watch::Sender<bool>) -> anyhow::Result<()> {
    signal().await?;
    stop.send_replace(true);
    signal().await?;
    bail!("ended at once; what was under way goes on at the next start")
}

#[cfg(unix)]
async fn signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("SIGINT cannot be waited for"),
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signal() -> anyhow::Result<()> {
    tokio::signal::ctrl_c().await.context("an interruption cannot be waited for")
}
