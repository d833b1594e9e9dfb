//! Touches: every claim has its touch, and every touch that was taken has its claim.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problem;
use crate::chain::{Link, clipped, instant};
use crate::file::{EvidenceFile, Touch};

/// The states of a touch that no sender has taken, or that was given back.
const NOT_TAKEN: [&str; 3] = ["planned", "prevented", "superseded"];

/// Checks the touches against the claims, and gives the number of claims.
pub(crate) fn check(file: &EvidenceFile, links: &[Link<'_>]) -> Result<usize, Problem> {
    let mut by_id: BTreeMap<&str, Vec<&Touch>> = BTreeMap::new();
    for touch in &file.touches {
        by_id.entry(&touch.id).or_default().push(touch);
    }
    let mut claims = BTreeSet::new();
    for link in links {
        let Some(claimed) = &link.document.touch else { continue };
        let broken = |what| Problem { entry: Some(link.number), at: instant(link.document.at_ms), what };
        let id = clipped(&claimed.id);
        let touches = by_id.get(claimed.id.as_str());
        let touches =
            touches.ok_or_else(|| broken(format!("touch {id} is missing; expected it among the touches")))?;
        let items = claimed.items();
        if !touches.iter().any(|t| t.items == items && t.channel == claimed.channel) {
            return Err(broken(format!("touch {id} is about something else among the touches")));
        }
        claims.insert((claimed.id.as_str(), link.document.at_ms));
    }
    for touch in &file.touches {
        let taken = !NOT_TAKEN.contains(&touch.state.as_str());
        let (id, state) = (clipped(&touch.id), clipped(&touch.state));
        let broken = |at, what| Problem { entry: None, at, what };
        match touch.claimed_at_ms {
            Some(at_ms) if !claims.contains(&(touch.id.as_str(), at_ms)) => {
                let what =
                    format!("touch {id} is {state} and was claimed then; expected the entry of its claim");
                return Err(broken(instant(at_ms), what));
            }
            None if taken => {
                let what = format!("touch {id} is {state} and was never claimed; expected when it was");
                return Err(broken(None, what));
            }
            Some(_) | None => {}
        }
    }
    Ok(claims.len())
}
