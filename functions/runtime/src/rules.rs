//! The rules of a tenant: settings, policy and contact rules, read from the store and kept while they are current.
//!
//! Invariant: a policy is compiled once per version; a tenant whose settings or policy cannot be read sends nothing, and
//! neither does one whose texts may not be sent under its profiles or the customer's.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::customer::Customer;
use domain::ids::{PolicyId, TenantId};
use domain::jurisdiction::{BuiltInError, Jurisdiction, TenantJurisdictions};
use domain::planner::Rules;
use domain::policy::{Policy, PolicyError};
use domain::tenant::Tenant;
use store::{ProfileDoc, Scope, SettingsDoc, Store, StoreError, SuppressionKey};

use crate::text_gate::TextGate;

/// Why a tenant's rules cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such tenant, or no such policy.
    #[error("{what} {id} was not found; expected it in the table ops")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The contact rules of a customer's country.
    #[error(transparent)]
    Profile(#[from] BuiltInError),
    /// The settings cannot be read.
    #[error("the settings of tenant {tenant} cannot be read: {problem}")]
    Settings {
        /// The tenant.
        tenant: TenantId,
        /// What is wrong.
        problem: String,
    },
    /// The policy cannot be followed.
    #[error("policy {id} version {version}: {error}")]
    Policy {
        /// The policy.
        id: PolicyId,
        /// Its version.
        version: u32,
        /// What is wrong.
        error: PolicyError,
    },
    /// The texts of the policy may not be sent to those whom a profile protects. Only a person can help, with another
    /// version of the policy or other settings.
    #[error("policy {id} version {version} may not be used under {profile}: {objections}")]
    Texts {
        /// The policy.
        id: PolicyId,
        /// Its version.
        version: u32,
        /// The profile.
        profile: String,
        /// The first objections, each with its stage, its rule and the article.
        objections: Arc<str>,
    },
}

/// Everything that decisions for a tenant are made by.
#[derive(Debug, Clone)]
pub struct TenantRules {
    /// The settings.
    pub tenant: Arc<Tenant>,
    /// The active policy.
    pub policy: Arc<Policy>,
    jurisdictions: Arc<TenantJurisdictions>,
    /// None where the texts were checked before.
    gate: Option<Arc<TextGate>>,
}

impl TenantRules {
    /// The tenant and its shards, as the store asks for them.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::new(self.tenant.id.clone(), self.tenant.shards)
    }

    /// The rules for messages to one customer: those of its own country, else the tenant's, with the tenant's
    /// adjustments.
    ///
    /// # Errors
    /// [`RulesError::Texts`] when the texts may not be sent to this customer, or to those of another profile that the
    /// tenant names; [`RulesError::Profile`] when a compiled-in profile cannot be read.
    pub fn for_customer(&self, customer: &Customer) -> Result<Rules<'_>, RulesError> {
        self.texts_may_be_sent()?;
        let jurisdiction = self.jurisdiction_for(customer)?;
        self.may_be_sent_under(jurisdiction)?;
        Ok(Rules { tenant: &self.tenant.id, policy: &self.policy, jurisdiction })
    }

    /// The contact rules that protect one customer, for what sends nothing: a word of a customer counts whatever the
    /// texts of the policy say.
    ///
    /// # Errors
    /// [`RulesError::Profile`] when a compiled-in profile cannot be read.
    pub fn jurisdiction_for(&self, customer: &Customer) -> Result<&Jurisdiction, RulesError> {
        Ok(self.jurisdictions.for_country(customer.country)?)
    }

    /// Whether the texts of the policy may be sent under the tenant's own profile and those of all countries that it
    /// names. A start of a day asks first, so that what is wrong is said once and not for every customer.
    ///
    /// # Errors
    /// As [`TenantRules::for_customer`].
    pub fn texts_may_be_sent(&self) -> Result<(), RulesError> {
        if self.gate.is_none() {
            return Ok(());
        }
        self.jurisdictions.of_customers()?.into_iter().try_for_each(|profile| self.may_be_sent_under(profile))
    }

    /// Checks the texts beside whatever else this program waits for, where nobody has yet. A check takes longer than an
    /// answer of a table may, so who asks for it first, before its own requests, loses none of them.
    pub async fn check_texts(&self) {
        let Some(gate) = &self.gate else { return };
        let rules = self.clone();
        // What is found is asked for again, and said, by whoever decides.
        gate.once(move || _ = rules.texts_may_be_sent()).await;
    }

    fn may_be_sent_under(&self, profile: &Jurisdiction) -> Result<(), RulesError> {
        let answer = self.gate.as_ref().map_or(Ok(()), |gate| gate.answer(profile));
        answer.map_err(|objections| RulesError::Texts {
            id: self.policy.id.clone(),
            version: self.policy.version,
            profile: profile.id().to_owned(),
            objections,
        })
    }
}

type PolicyKey = (TenantId, PolicyId, u32);

/// The settings of a tenant, and the profiles that they adjust.
#[derive(Debug, Clone)]
struct Settings {
    /// What they were read from.
    document: SettingsDoc,
    tenant: Arc<Tenant>,
    jurisdictions: Arc<TenantJurisdictions>,
}

/// How many texts of policies are kept compiled, whoever uses them. With more, all are forgotten and compiled anew.
pub const TEXTS_MAX: usize = 512;

/// Compiled policies and adjusted profiles, kept while they are current. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct RulesCache {
    settings: Arc<Mutex<HashMap<TenantId, Settings>>>,
    policies: Arc<Mutex<HashMap<PolicyKey, Arc<Policy>>>>,
    /// Policies by their text: the brands of one lender often have the same.
    texts: Arc<Mutex<HashMap<String, Arc<Policy>>>>,
    /// What was found about the texts of each tenant's policy.
    gates: Arc<Mutex<HashMap<TenantId, Arc<TextGate>>>>,
    /// The texts were checked before, so there is no gate.
    has_checked_texts: bool,
}

impl RulesCache {
    /// An empty cache for policies whose texts were checked before they came into the store, as those of tests and
    /// simulations are. Every other cache checks them itself.
    #[must_use]
    pub fn of_checked_texts() -> Self {
        Self { has_checked_texts: true, ..Self::default() }
    }

    /// An empty cache that compiles no text which this one has compiled, nor the other way round.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { texts: Arc::clone(&self.texts), has_checked_texts: self.has_checked_texts, ..Self::default() }
    }

    /// The rules of a tenant as they stand `now`, which no approval in its settings may lie after.
    ///
    /// # Errors
    /// [`RulesError`] when the store does not answer, or holds no usable settings or policy.
    pub async fn load(
        &self,
        store: &Store,
        tenant: &TenantId,
        now: DateTime<Utc>,
    ) -> Result<TenantRules, RulesError> {
        let settings = self.settings(store, tenant, now).await?;
        let id = &settings.tenant.policy;
        let version = store.active_policy_version(tenant, id).await?;
        let key = (tenant.clone(), id.clone(), version.ok_or_else(|| missing("policy", id.as_str()))?);
        let known = self.policies.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let policy = match known {
            Some(policy) => policy,
            None => self.compile(store, key).await?,
        };
        let gate = self.gate(&settings.tenant, &policy);
        Ok(TenantRules { tenant: settings.tenant, policy, jurisdictions: settings.jurisdictions, gate })
    }

    /// The gate of a policy as it is in use now, with the answers that it has given.
    fn gate(&self, tenant: &Arc<Tenant>, policy: &Arc<Policy>) -> Option<Arc<TextGate>> {
        if self.has_checked_texts {
            return None;
        }
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = gates.get(&tenant.id).filter(|gate| gate.is_of(policy, tenant)) {
            return Some(Arc::clone(known));
        }
        let gate = Arc::new(TextGate::new(policy, tenant));
        gates.insert(tenant.id.clone(), Arc::clone(&gate));
        Some(gate)
    }

    /// The settings as they stand now; what they adjust is built once for each version of them.
    async fn settings(
        &self,
        store: &Store,
        tenant: &TenantId,
        now: DateTime<Utc>,
    ) -> Result<Settings, RulesError> {
        let document = settings_document(store, tenant).await?;
        let known = self.settings.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        if let Some(known) = known.filter(|known| known.document == document) {
            return Ok(known);
        }
        let parsed = parse_settings(tenant, &document)?;
        let today = now.with_timezone(&parsed.time_zone).date_naive();
        let jurisdictions = TenantJurisdictions::new(&parsed, today)
            .map_err(|error| RulesError::Settings { tenant: tenant.clone(), problem: error.to_string() })?;
        // Before anything is decided by them: settings are overwritten, and what they said must be shown years later.
        for profile in jurisdictions.kept() {
            store.keep_profile(tenant, &profile_doc(profile)).await?;
        }
        let settings =
            Settings { document, tenant: Arc::new(parsed), jurisdictions: Arc::new(jurisdictions) };
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(tenant.clone(), settings.clone());
        Ok(settings)
    }

    /// Reads a version of a policy, which never changes, and keeps it compiled.
    async fn compile(&self, store: &Store, key: PolicyKey) -> Result<Arc<Policy>, RulesError> {
        let source = store.policy(&key.0, &key.1, key.2).await?;
        let source = source.ok_or_else(|| missing("policy", key.1.as_str()))?;
        let policy = self.compiled(source.source).map_err(|error| RulesError::Policy {
            id: key.1.clone(),
            version: key.2,
            error,
        })?;
        // Only the newest version of each tenant's policy is of use.
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        policies.retain(|k, _| k.0 != key.0 || k.1 != key.1);
        policies.insert(key, Arc::clone(&policy));
        Ok(policy)
    }

    fn compiled(&self, source: String) -> Result<Arc<Policy>, PolicyError> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = texts.get(&source) {
            return Ok(Arc::clone(policy));
        }
        let policy = Arc::new(Policy::parse(&source)?);
        if texts.len() >= TEXTS_MAX {
            texts.clear();
        }
        texts.insert(source, Arc::clone(&policy));
        Ok(policy)
    }
}

fn profile_doc(profile: &Jurisdiction) -> ProfileDoc {
    ProfileDoc {
        id: profile.id().to_owned(),
        version: profile.version().to_owned(),
        texts: profile.texts().map(str::to_owned).collect(),
        holidays: profile.holiday_text().to_owned(),
    }
}

fn missing(what: &'static str, id: &str) -> RulesError {
    RulesError::Missing { what, id: id.to_owned() }
}

/// The settings of a tenant.
///
/// # Errors
/// [`RulesError`] when the store does not answer, or there is no such tenant.
pub async fn tenant_settings(store: &Store, tenant: &TenantId) -> Result<Tenant, RulesError> {
    parse_settings(tenant, &settings_document(store, tenant).await?)
}

async fn settings_document(store: &Store, tenant: &TenantId) -> Result<SettingsDoc, RulesError> {
    store.settings(tenant).await?.ok_or_else(|| missing("tenant", tenant.as_str()))
}

fn parse_settings(tenant: &TenantId, document: &SettingsDoc) -> Result<Tenant, RulesError> {
    serde_json::from_str(&document.document)
        .map_err(|e| RulesError::Settings { tenant: tenant.clone(), problem: e.to_string() })
}

/// The channels of a customer whose contact point must not be used.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub async fn suppressed_channels(
    store: &Store,
    secret: &SuppressionKey,
    tenant: &TenantId,
    customer: &Customer,
) -> Result<BTreeSet<Channel>, StoreError> {
    let points: Vec<_> = customer.contact_points.iter().map(|p| (p.channel, &p.address)).collect();
    if points.is_empty() {
        return Ok(BTreeSet::new());
    }
    let found = store.suppressed(tenant, secret, &points).await?;
    Ok(found.into_iter().map(|(channel, _)| channel).collect())
}
