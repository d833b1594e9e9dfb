//! The gate of texts: nothing is decided by a policy before its texts were checked under the profiles concerned.
//!
//! Invariant: a policy is checked once for each version of it, of the settings and of the profile; what was refused once
//! is refused until one of them changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::content_check::check_texts;
use domain::jurisdiction::Jurisdiction;
use domain::policy::Policy;
use domain::tenant::Tenant;
use tokio::sync::OnceCell;

/// The most objections that an error names.
const OBJECTIONS_TOLD_MAX: usize = 5;

/// What speaks against the texts, or that nothing does.
type Answer = Result<(), Arc<str>>;

/// A policy of a tenant, and what was found about its texts.
#[derive(Debug)]
pub(crate) struct TextGate {
    policy: Arc<Policy>,
    tenant: Arc<Tenant>,
    /// By the profile's id. The settings are those of one version, so no id stands for two profiles.
    answers: Mutex<BTreeMap<String, Answer>>,
    checked: OnceCell<()>,
}

impl TextGate {
    pub(crate) fn new(policy: &Arc<Policy>, tenant: &Arc<Tenant>) -> Self {
        Self {
            policy: Arc::clone(policy),
            tenant: Arc::clone(tenant),
            answers: Mutex::default(),
            checked: OnceCell::new(),
        }
    }

    /// Does the first check in a thread of its own. Others wait for it and do none.
    pub(crate) async fn once(&self, check: impl FnOnce() + Send + 'static) {
        self.checked
            .get_or_init(async || {
                if let Err(problem) = tokio::task::spawn_blocking(check).await {
                    tracing::error!(%problem, "the texts could not be checked ahead");
                }
            })
            .await;
    }

    /// Whether the answers are about the policy and the settings as they are in use now.
    pub(crate) fn is_of(&self, policy: &Arc<Policy>, tenant: &Arc<Tenant>) -> bool {
        Arc::ptr_eq(&self.policy, policy) && Arc::ptr_eq(&self.tenant, tenant)
    }

    /// Whether the texts may be sent to those whom a profile protects; if not, what speaks against them, each with its
    /// stage, its rule and the article.
    pub(crate) fn answer(&self, profile: &Jurisdiction) -> Answer {
        // Held while a policy is checked, so that those who wait do not check it, too.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(profile.id()) {
            return known.clone();
        }
        let found = check_texts(&self.policy, profile, Some(&self.tenant)).objections;
        let told: Vec<String> = found.iter().take(OBJECTIONS_TOLD_MAX).map(ToString::to_string).collect();
        let answer = match found.len() {
            0 => Ok(()),
            count if count > told.len() => {
                Err(format!("{} (and {} more)", told.join("; "), count - told.len()).into())
            }
            _ => Err(told.join("; ").into()),
        };
        answers.insert(profile.id().to_owned(), answer.clone());
        answer
    }
}
