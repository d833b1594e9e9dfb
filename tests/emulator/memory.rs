//! Memory: how much of it each function took at its highest, after all the work of the test.
//!
//! Invariant: every process of the emulator's functions is looked at, and no other. The programs are those of the tests;
//! what Lambda runs is optimised and stripped, and takes less.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::aws::Aws;
use crate::deployment::STACK;

/// What a function may take: 64 MB, as Lambda counts them.
const PEAK_KIBIBYTES_MAX: u64 = 64 * 1_024;
/// The functions that work in the test; `record-choice` hears of nobody.
const AT_WORK: [&str; 7] =
    ["http-api", "import-accounts", "plan-shard", "record-delivery", "scan-due", "send-email", "send-sms"];

/// Every function that worked stayed below the budget.
pub(crate) fn no_function_took_more_than_its_budget(aws: &Aws) {
    let mut peaks: BTreeMap<String, u64> = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("a system with processes").flatten() {
        if let Some((name, peak)) = peak_of(&entry.path(), &aws.endpoint) {
            let highest = peaks.entry(name).or_default();
            *highest = peak.max(*highest);
        }
    }
    for function in AT_WORK {
        let peak = peaks.get(function).unwrap_or_else(|| panic!("no process of {function}: {peaks:?}"));
        assert!(
            *peak < PEAK_KIBIBYTES_MAX,
            "{function} took {peak} KiB; expected less than {PEAK_KIBIBYTES_MAX}"
        );
    }
}

/// The function that a process is, and its memory at its highest in KiB; `None` where it is no function of this emulator,
/// or ended just now.
fn peak_of(process: &Path, endpoint: &str) -> Option<(String, u64)> {
    let environment = fs::read(process.join("environ")).ok()?;
    let value = |name: &str| {
        let of = |variable: &[u8]| {
            std::str::from_utf8(variable).ok()?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
        };
        environment.split(|byte| *byte == 0).find_map(of)
    };
    if value("AWS_ENDPOINT_URL")? != endpoint {
        return None;
    }
    let name = value("AWS_LAMBDA_FUNCTION_NAME")?.strip_prefix(STACK)?.strip_prefix('-')?.to_owned();
    let status = fs::read_to_string(process.join("status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some((name, peak.split_whitespace().next()?.parse().ok()?))
}
