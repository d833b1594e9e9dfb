//! Texts with an opt-out link under a lender whose links lead nowhere, found out before one is due.
//!
//! Invariant: what is objected to here is what [`crate::template::TemplateSet::render`] refuses for such a lender.

use std::fmt;

use crate::channel::Channel;
use crate::ids::{StageId, TemplateId};
use crate::policy::Policy;
use crate::tenant::Tenant;

/// A text that names the customer's opt-out link, which the lender does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkObjection {
    /// The stage.
    pub stage: StageId,
    /// Its template.
    pub template: TemplateId,
    /// The channel of the text.
    pub channel: Channel,
}

impl fmt::Display for LinkObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, template, channel } = self;
        write!(
            f,
            "stage {stage}, template {template}, {channel}: its text has {{{{ opt_out_link }}}}, and the lender has no address \
             for links; expected opt_out_url in its settings, such as \"https://example.com/baja\", or a text without"
        )
    }
}

/// Every text of a policy that a lender cannot send, because it has no `opt_out_url`.
#[must_use]
pub fn objections(policy: &Policy, tenant: &Tenant) -> Vec<LinkObjection> {
    if tenant.opt_out_url.is_some() {
        return Vec::new();
    }
    let texts =
        policy.stages.iter().flat_map(|stage| stage.channels.iter().map(move |channel| (stage, *channel)));
    let linked = texts.filter(|(stage, c)| policy.templates.names_opt_out_link(&stage.template, *c));
    let objection = |(stage, channel): (&crate::policy::Stage, Channel)| LinkObjection {
        stage: stage.id.clone(),
        template: stage.template.clone(),
        channel,
    };
    linked.map(objection).collect()
}
