//! A reply such as STOP names an address and no customer, and so moves no fence: wherever it comes between decision and
//! call, no message goes to the address.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::channel::Channel;
use domain::contact::Address;
use domain::ids::TenantId;
use domain::tenant::Tenant;
use domain::touch::TouchState;
use store::{Pause, Store, StoreCall, Strike, SuppressionKey, Weather};

use crate::fixture::{Borrower, Stack, TENANT, at};

const NUMBER: &str = "+573001234567";

/// When the reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The touch is decided on, and not claimed yet.
    BeforeClaim,
    /// It is claimed, and nobody was called yet.
    AfterClaim,
}

/// Lets the reply come once, at its moment.
#[derive(Debug)]
struct ReplyComes {
    raw: Store,
    tenant: TenantId,
    moment: Moment,
    came: AtomicBool,
}

impl ReplyComes {
    async fn at(&self, moment: Moment, call: &StoreCall) {
        let claims = call.items.iter().any(|item| item.state.as_deref() == Some("claimed"));
        if moment == self.moment && claims && !self.came.swap(true, Ordering::SeqCst) {
            let (secret, number) = (SuppressionKey::new(*b"a key of the tests"), Address::new(NUMBER));
            let reply =
                self.raw.suppress_by_reply(&self.tenant, &secret, (Channel::Sms, &number), at(23, 8, 0));
            reply.await.expect("a reply can be recorded");
        }
    }
}

impl Weather for ReplyComes {
    fn before<'a>(&'a self, call: &'a StoreCall) -> Pause<'a> {
        Box::pin(self.at(Moment::BeforeClaim, call))
    }

    fn strike(&self, _: &StoreCall) -> Strike {
        Strike::Spare
    }

    fn after<'a>(&'a self, call: &'a StoreCall, _: bool) -> Pause<'a> {
        Box::pin(self.at(Moment::AfterClaim, call))
    }
}

async fn replied(moment: Moment, ana: Borrower) -> Stack {
    let tenant: Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
    let raw = Store::simulated().expect("a database in memory opens");
    let reply =
        ReplyComes { raw: raw.clone(), tenant: tenant.id.clone(), moment, came: AtomicBool::new(false) };
    let reply = Arc::new(reply);
    let stack = Stack::on(raw.under(Arc::clone(&reply) as Arc<dyn Weather>), tenant).await;
    stack.import(1, &[ana.owes("a", 20)]).await;
    stack.scan(at(23, 8, 0)).await;
    assert!(reply.came.load(Ordering::SeqCst), "nothing was claimed");
    stack
}

#[tokio::test]
async fn a_reply_between_decision_and_call_stops_the_message_and_the_next_channel_takes_over() {
    for moment in [Moment::BeforeClaim, Moment::AfterClaim] {
        let stack = replied(moment, Borrower::new("ana").with_sms(NUMBER)).await;
        assert_eq!(stack.sent_to("ana"), ["email d3:a"], "{moment:?}");
        let mut states = stack.states("ana").await;
        states.sort_unstable_by_key(|state| state.as_str());
        assert_eq!(states, [TouchState::Prevented, TouchState::Sent], "{moment:?}");
        let fence = stack.fence("ana").await;
        let channels: Vec<Channel> = fence.contacts.iter().map(|contact| contact.channel).collect();
        assert_eq!(channels, [Channel::Email], "{moment:?}: what was not sent is no contact");
    }
}

#[tokio::test]
async fn a_reply_between_decision_and_call_leaves_nothing_behind_where_there_is_no_other_channel() {
    for moment in [Moment::BeforeClaim, Moment::AfterClaim] {
        let ana = Borrower::new("ana").with_sms(NUMBER).says(Channel::Email, false, 2);
        let stack = replied(moment, ana).await;
        assert!(stack.outbox.messages().is_empty(), "{moment:?}");
        assert_eq!(stack.states("ana").await, [TouchState::Prevented], "{moment:?}");
        let fence = stack.fence("ana").await;
        assert!(
            fence.contacts.is_empty() && fence.reached.is_empty() && fence.tries.is_empty(),
            "{moment:?}"
        );
        // It stays so, and the decision is on record.
        stack.scan(at(24, 8, 0)).await;
        assert!(stack.outbox.messages().is_empty(), "{moment:?}");
        let trail =
            stack.store.audit_trail(&stack.tenant(), &crate::fixture::customer_id("ana")).await.unwrap();
        assert!(trail.iter().any(|entry| entry.document.contains("suppressed")), "{moment:?}");
    }
}
