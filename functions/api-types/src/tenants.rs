//! Tenants: an isolated lender or brand, as the API shows it.

use chrono::{DateTime, Utc};
use domain::tenant::{Pause, TenantSlug};
use serde::{Deserialize, Serialize};

use crate::problem::Mistake;
use crate::settings::Settings;

/// How many tenants a page has where the caller does not say.
pub const PAGE_DEFAULT: u32 = 20;
/// How many a page has at most.
pub const PAGE_MAX: u32 = 50;
/// The longest reason of a pause, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// `POST /v1/tenants`. The settings are read by [`Settings::read`], which finds all mistakes at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Its id, for good.
    pub id: TenantSlug,
    /// Its settings, as [`Settings`].
    pub settings: serde_json::Value,
}

/// A tenant with its settings. The `ETag` of the answer names the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantView {
    /// Its id.
    pub id: String,
    /// The version of the settings.
    pub version: u64,
    /// The settings.
    pub settings: Settings,
    /// Since when and why nothing is sent; absent while it is not paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Whether the schedules follow these settings already; absent in answers that change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedules: Option<SchedulesState>,
}

/// Whether schedules follow the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulesState {
    /// They do.
    Followed,
    /// Not yet: the scheduler did not answer. They are put right by the next reconciliation.
    Pending,
}

/// A tenant in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSummary {
    /// Its id.
    pub id: String,
    /// The name that customers know.
    pub name: String,
    /// Its country.
    pub country: String,
    /// Whether nothing is sent at present.
    pub is_paused: bool,
}

/// `GET /v1/tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantList {
    /// Those that the caller may see, by id.
    pub tenants: Vec<TenantSummary>,
    /// `after` of the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST /v1/tenants/{tenant}/pause` and `…/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for those who read the audit: 1 to [`REASON_CHARS_MAX`] characters, and no personal data.
    pub reason: String,
}

impl Reason {
    /// What is wrong with it; nothing where it can be used.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Mistake> {
        let chars = self.reason.trim().chars().count();
        if (1..=REASON_CHARS_MAX).contains(&chars) && !self.reason.chars().any(char::is_control) {
            return Vec::new();
        }
        let expected = format!("1 to {REASON_CHARS_MAX} characters on one line");
        vec![Mistake::new("/reason", format!("has {chars} characters, or several lines"), expected)]
    }
}

/// `POST /v1/tenants/{tenant}/scan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanScheduled {
    /// When the scan starts, at the latest a minute or two from now.
    pub starts_at: DateTime<Utc>,
}
