//! `cargo puntual retain`: erases the personal data of customers whose time of retention is over.
//!
//! Invariant: whether a customer stays is decided by the domain, on all of its facts; an erasure keeps the proof of what
//! was decided.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use domain::ids::{CustomerId, TenantId};
use domain::jurisdiction::TenantJurisdictions;
use domain::retention::{Stay, retain_days, stay};
use domain::tenant::Tenant;
use runtime::rules::tenant_settings;
use store::{CustomerFacts, Erased, Store};

use crate::command::erase::forget_messages;
use crate::{clock, folder};

/// How many items of the table a page reads.
const PAGE_ITEMS: u32 = 5_000;
/// The most pages of one run: a table of five hundred million items.
const PAGES_MAX: usize = 100_000;

/// Erases the personal data of every customer that owes nothing, is not held, and was last active longer ago than the
/// tenant keeps data. It reads the whole table once, so once a month is often enough.
#[derive(Debug, Args)]
pub(crate) struct RetainArguments {
    /// The folder of the database.
    #[arg(long, visible_alias = "folder", default_value = "puntual-demo")]
    out: PathBuf,
    /// The day to judge by; the tenant's own today where it is not said.
    #[arg(long)]
    today: Option<NaiveDate>,
    /// Only says who would be erased.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn retain(arguments: RetainArguments) -> anyhow::Result<ExitCode> {
    let (store, scope, demo_tenant) = folder::open(&arguments.out).await?;
    let _lock = folder::lock(&arguments.out)?;
    let tenant = match store.settings(&scope.tenant).await? {
        Some(_) => tenant_settings(&store, &scope.tenant).await?,
        None => demo_tenant,
    };
    let now = clock::now();
    let actual = now.with_timezone(&tenant.time_zone).date_naive();
    let profiles = TenantJurisdictions::new(&tenant, actual).context("the tenant's contact rules")?;
    let today = arguments.today.unwrap_or(actual);
    if today > actual && !arguments.dry_run {
        bail!("{today} lies in the future; expected a day up to {actual}, or --dry-run");
    }
    let (mut erased, mut stays) = (0_usize, BTreeMap::<Stay, usize>::new());
    let (mut cursor, mut gone) = (None, Vec::new());
    for _ in 0..PAGES_MAX {
        let page = store.customers_page(&tenant.id, cursor, PAGE_ITEMS).await?;
        for customer in &page.items {
            let Some(reason) = judged(&store, (&tenant, &profiles), customer, today).await? else { continue };
            if let Some(reason) = reason {
                *stays.entry(reason).or_default() += 1;
                continue;
            }
            if arguments.dry_run {
                say!("would erase {customer}");
                erased += 1;
                continue;
            }
            match store.erase_customer(&scope, customer, now).await? {
                Erased::Made { items, .. } => {
                    say!("erased {customer}: {items} items");
                    gone.push(customer.clone());
                    erased += 1;
                }
                Erased::InFlight { .. } => say!("{customer} stays for now: a message is on its way"),
                Erased::Unknown => {}
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            if !gone.is_empty() {
                store.compact().context("what was erased may still be read in the file of the database")?;
                forget_messages(&arguments.out, &gone)?;
            }
            let kept: usize = stays.values().sum();
            say!(
                "{erased} customers {}, {kept} stay",
                if arguments.dry_run { "would be erased" } else { "erased" }
            );
            for (reason, count) in stays {
                say!("{count} {}", reason.as_str());
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
    bail!("the table has more than {PAGES_MAX} pages; call again for the rest")
}

/// Why a customer stays, or that it does not, as one whose erasure was cut off; `None` where it was erased since it was
/// listed.
async fn judged(
    store: &Store,
    (tenant, profiles): (&Tenant, &TenantJurisdictions),
    customer: &CustomerId,
    today: NaiveDate,
) -> anyhow::Result<Option<Option<Stay>>> {
    let Some(facts) = store.customer_facts(&tenant.id, customer).await? else {
        let fence = store.fence(&tenant.id, customer).await?;
        return Ok(fence.filter(|fence| fence.erasing).map(|_| None));
    };
    let active_on = active_on(store, &tenant.id, &facts).await?;
    let days = retain_days(tenant, profiles.for_country(facts.customer.country)?);
    Ok(Some(stay(&facts.customer, &facts.obligations, active_on, (days, today))))
}

/// The last day of anything that happened with a customer, its obligations aside.
async fn active_on(
    store: &Store,
    tenant: &TenantId,
    facts: &CustomerFacts,
) -> anyhow::Result<Option<NaiveDate>> {
    let id = &facts.customer.id;
    let touches = store.touches(tenant, id).await?;
    let touched = touches.iter().flat_map(|t| [Some(t.touch.send_at), t.claimed_at, t.settled_at]).flatten();
    let choices = store.choices(tenant, id).await?;
    let moments =
        facts.fence.contacts.iter().map(|c| c.at).chain(choices.iter().map(|c| c.at)).chain(touched);
    let paid = store.payments(tenant, id).await?.into_iter().map(|p| p.paid_on);
    Ok(moments.map(|at: DateTime<Utc>| at.date_naive()).chain(paid).max())
}
