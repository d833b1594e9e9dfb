//! Messages: what a touch's template is given to say.
//!
//! Invariant: a message speaks of the facts at the moment of sending, not of those at the moment of planning.

use crate::choice::SignedLink;
use crate::customer::Customer;
use crate::locale::Locale;
use crate::obligation::Obligation;
use crate::template::{MessageContext, MessageItem, MessageLender, first_name};
use crate::tenant::Tenant;
use crate::touch::Touch;

/// The context of a touch's message, with the customer's own opt-out link where there is one. An item whose obligation is not among the facts is left out.
#[must_use]
pub fn message_context<'a>(
    tenant: &'a Tenant,
    customer: &'a Customer,
    obligations: &'a [Obligation],
    touch: &Touch,
    opt_out_link: Option<&'a SignedLink>,
) -> MessageContext<'a> {
    let lender = &tenant.lender;
    let items = touch.items.iter().filter_map(|item| {
        let obligation = obligations.iter().find(|o| o.id == item.obligation)?;
        Some(MessageItem {
            obligation: &obligation.id,
            account: obligation.account.as_ref(),
            outstanding: obligation.outstanding(),
            due_on: obligation.due_on,
        })
    });
    MessageContext {
        customer_name: &customer.name,
        first_name: first_name(&customer.name, customer.kind),
        lender: MessageLender {
            name: &lender.name,
            phone: &lender.phone,
            email: &lender.email,
            ways_to_pay: &lender.ways_to_pay,
            opt_out_email: &lender.opt_out_email,
            opt_out_sms: &lender.opt_out_sms,
        },
        opt_out_link,
        locale: Locale::new(
            customer.language.unwrap_or(tenant.language),
            customer.country.unwrap_or(tenant.country),
        ),
        today: touch.on,
        items: items.collect(),
    }
}
