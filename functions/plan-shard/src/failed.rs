//! Customers of a shard who cannot be decided about: what is stored about them cannot be read, or keeps moving.
//!
//! Invariant: each is named and reported, gets nothing, and holds up no other. What fails for everybody, such as a store
//! that does not answer, is no matter of one customer and stops the job.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::ids::CustomerId;
use domain::verdict::{Decision, Reason, ReasonCode, Verdict};
use runtime::job::ShardJob;
use runtime::rules::RulesError;
use store::{ErrorClass, OpenEntry, StoreError, Unreadable};

use crate::{FailedCustomer, PlanError};

/// The customers of one shard who failed.
#[derive(Debug, Default)]
pub(crate) struct Failed {
    customers: BTreeMap<CustomerId, FailedCustomer>,
    /// What names nobody.
    others: Vec<FailedCustomer>,
}

impl Failed {
    pub(crate) fn names(&self, customer: &CustomerId) -> bool {
        self.customers.contains_key(customer)
    }

    /// Takes entries of the index that cannot be read.
    pub(crate) fn add(&mut self, unreadable: Vec<Unreadable>) {
        for Unreadable { customer, problem } in unreadable {
            let failed = FailedCustomer { customer, retryable: false, problem: problem.to_string() };
            match &failed.customer {
                Some(customer) => {
                    self.customers.entry(customer.clone()).or_insert(failed);
                }
                None => self.others.push(failed),
            }
        }
    }

    /// Takes what went wrong with one customer.
    ///
    /// # Errors
    /// The problem itself, where it is not the customer's.
    pub(crate) fn take(&mut self, customer: &CustomerId, problem: PlanError) -> Result<(), PlanError> {
        let retryable = match &problem {
            PlanError::Restless { .. } => true,
            PlanError::Store(error @ StoreError::Corrupt { .. }) => error.class() == ErrorClass::Retryable,
            // Those of a country that the tenant does not name; what holds for all was asked before.
            PlanError::Rules(RulesError::Texts { .. }) => false,
            PlanError::Store(_)
            | PlanError::Rules(_)
            | PlanError::Queue(_)
            | PlanError::Unfinished { .. }
            | PlanError::NoSuchShard { .. }
            | PlanError::WrongDay { .. }
            | PlanError::TooLarge { .. } => return Err(problem),
        };
        let failed =
            FailedCustomer { customer: Some(customer.clone()), retryable, problem: problem.to_string() };
        self.customers.insert(customer.clone(), failed);
        Ok(())
    }

    /// The verdict on an obligation of a customer who failed.
    pub(crate) fn verdict(&self, customer: &CustomerId, entry: &OpenEntry) -> Verdict {
        let problem = self.customers.get(customer).map(|failed| failed.problem.clone()).unwrap_or_default();
        Verdict {
            obligation: entry.obligation.clone(),
            due_on: entry.due_on,
            stage: None,
            decision: Decision::Skip,
            reasons: vec![Reason::new(ReasonCode::Unreadable, Cow::Owned(problem))],
        }
    }

    /// Logs and returns who failed.
    ///
    /// # Errors
    /// [`PlanError::Unfinished`] where planning again may help somebody.
    pub(crate) fn report(self, job: &ShardJob) -> Result<Vec<FailedCustomer>, PlanError> {
        let all: Vec<FailedCustomer> = self.customers.into_values().chain(self.others).collect();
        for FailedCustomer { customer, retryable, problem } in &all {
            let customer = customer.as_ref().map_or("unknown", |id| id.as_str());
            tracing::error!(
                tenant = %job.tenant, shard = job.shard, customer, retryable, problem, "no decision about a customer"
            );
        }
        match all.iter().find(|failed| failed.retryable) {
            Some(first) => Err(PlanError::Unfinished {
                failed: all.len(),
                shard: job.shard,
                tenant: job.tenant.to_string(),
                first: first.problem.clone(),
            }),
            None => Ok(all),
        }
    }
}
