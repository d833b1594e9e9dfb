//! The evidence of a world: the file that the product writes about each customer, read by who checks it and shares no code
//! with who writes it.
//!
//! Invariant: it is asked for when the world is over, from the store as it is then, and changes nothing.

use domain::jurisdiction::TenantJurisdictions;
use runtime::evidence::{Asked, EvidenceError};
use store::{Store, SuppressionKey};
use verifier::verify;

use crate::model::{Rule, Violation};
use crate::scene::instant;
use crate::world::World;

/// The evidence that is refused, or cannot be made, of every customer.
pub(crate) async fn unverified(store: &Store, secret: &SuppressionKey, world: &World) -> Vec<Violation> {
    let tenant = &world.tenant;
    let today = instant(world.ends_at).with_timezone(&tenant.time_zone).date_naive();
    let profiles = TenantJurisdictions::new(tenant, today).expect("settings that are made here are sound");
    let mut found = Vec::new();
    for customer in &world.customers {
        let id = &customer.id;
        let asked = Asked {
            store,
            secret,
            tenant: &tenant.id,
            profiles: &profiles,
            customer: id,
            with_contact_data: false,
        };
        let problem = match asked.evidence(instant(world.ends_at)).await {
            // A customer in no file, or one whose erasure was cut off, has no evidence.
            Ok(None) | Err(EvidenceError::Erasing { .. }) => None,
            Ok(Some(file)) => verify(file.to_string().as_bytes()).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        found.extend(problem.map(|problem| Violation {
            rule: Rule::Unverified,
            detail: format!("the evidence of customer {id}: {problem}"),
        }));
    }
    found
}
