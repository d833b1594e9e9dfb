//! Waiting for what happens elsewhere.
//!
//! Invariant: every wait has an end, and says what it waited for when it comes to it.

use std::time::Duration;

/// How long apart something is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For how many looks an answer of the stack is waited for: ten minutes. A schedule alone takes one and more, and a busy
/// machine starts the functions slowly.
pub(crate) const LOOKS_MAX: u32 = 3_000;
/// For how many looks builds and a deployment are waited for: an hour, which a first build on a small machine needs.
pub(crate) const BUILD_LOOKS_MAX: u32 = 18_000;

/// Looks until there is something.
pub(crate) fn until<T>(what: &str, looks_max: u32, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..looks_max {
        if let Some(found) = look() {
            return found;
        }
        between_looks();
    }
    panic!("{what}: not after {looks_max} looks of {} ms", LOOK_EVERY.as_millis());
}

#[expect(
    clippy::disallowed_methods,
    reason = "other programs are waited for, which have clocks of their own"
)]
fn between_looks() {
    std::thread::sleep(LOOK_EVERY);
}
