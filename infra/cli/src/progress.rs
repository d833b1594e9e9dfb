//! Progress: a bar on a terminal, silence everywhere else.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `steps` steps on standard error, or nothing where that is no terminal or a program reads the output.
pub(crate) fn bar(steps: u64, what: &'static str, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg:>10} {bar:40} {pos}/{len} · {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// A counter without an end, for work whose size is not known before.
pub(crate) fn spinner(what: &'static str, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg:>10} {spinner} {human_pos} rows · {per_sec}") {
        bar.set_style(style);
    }
    bar
}
